"""How curved the loss is at networks, and how asymmetric the valleys between them are."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ConfigError, check_range
from repcon_jax.landscape.curvature import hessian_trace, leading_eigenpairs
from repcon_jax.landscape.fisher import fisher_trace
from repcon_jax.landscape.paths import linear_path
from repcon_jax.landscape.sharpness import sharpness
from repcon_jax.landscape.slopes import one_sided_slopes, valley_asymmetry
from repcon_jax.random import stream
from repcon_jax.run.references import Network
from repcon_jax.tasks.landscape.analyses import ANALYSES, Analysis
from repcon_jax.tasks.landscape.bench import LandscapeBench
from repcon_jax.tasks.landscape.losses import loss_of, state_of, training_batches
from repcon_jax.typing import ModelState, Params


@ANALYSES.register("curvature")
def curvature(
    *,
    points: tuple[tuple[str, str], ...],
    loss: str = "kl_divergence",
    eigenvalues: int = 5,
    iterations: int = 30,
    trace_samples: int = 20,
    fisher_examples: int = 256,
    radius: float = 0.05,
    relative_radius: float = 0.5,
    lines: tuple[tuple[str, str], ...] = (),
    reach: float = 1.0,
    num_points: int = 21,
) -> Analysis:
    """Measures leading Hessian eigenvalues, traces, sharpness, and one-sided slopes along lines.

    Args:
        points: pairs of (name in the figure, reference of the network).
        loss: a metric that has a number for every example.
        eigenvalues: how many, the largest in magnitude.
        iterations: of Lanczos.
        trace_samples: random vectors of Hutchinson's estimate.
        fisher_examples: training images for the trace of the Fisher information, one sampled output each; 0 for none.
        radius: of sharpness, a Euclidean distance.
        relative_radius: of filter-wise sharpness, where a filter's perturbation is measured in norms of the filter.
        lines: pairs of names; the loss is measured from the first network towards the second and as far the other
            way. Slopes and asymmetry are those of its square root, which has a corner where a divergence is zero.
        reach: how far, in distances between the two.
        num_points: on each side.

    Sources: Ghorbani et al., arXiv 1901.10159; Foret et al., arXiv 2010.01412; He et al., arXiv 1902.00744.
    """
    check_range("iterations", iterations, max(1, eigenvalues))
    check_range("trace_samples", trace_samples, 2)
    check_range("num_points", num_points, 2)
    for name in {name for line in lines for name in line} - {name for name, _ in points}:
        raise ConfigError(f"analysis.lines names {name!r}, which is none of analysis.points; name one of them.")

    def measures(bench: LandscapeBench) -> dict[str, Callable[..., Any]]:
        """The compiled functions (params, model state, key) -> number or numbers, which all points share."""
        value = loss_of(bench, loss)
        inputs = training_batches(bench)[0]
        inputs = inputs.reshape(-1, *inputs.shape[2:])[:fisher_examples]

        def at(state: ModelState) -> Callable[[Params], jax.Array]:
            return lambda params: value(params, state)

        def logits(state: ModelState) -> Callable[[Params, jax.Array], jax.Array]:
            return lambda params, images: bench.model.apply(params, state, images, False)[0].logits

        leading = {"count": eigenvalues, "iterations": iterations}
        functions = {
            "loss": lambda p, s, k: value(p, s),
            "eigenpairs": lambda p, s, k: leading_eigenpairs(at(s), p, k, **leading)[::2],
            "trace": lambda p, s, k: hessian_trace(at(s), p, k, trace_samples),
            "uniform": lambda p, s, k: sharpness(at(s), p, radius, key=k),
            "filter": lambda p, s, k: sharpness(at(s), p, relative_radius, scale="filter", key=k),
            "fisher": lambda p, s, k: fisher_trace(logits(s), p, inputs, k).mean,
        }
        if not fisher_examples:
            del functions["fisher"]
        return {name: jax.jit(function) for name, function in functions.items()}

    def at_point(bench: LandscapeBench, functions: dict[str, Callable[..., Any]], network: Network) -> dict[str, Any]:
        state = state_of(bench, network)
        found = {name: of(network.params, state, stream(bench.key, name)) for name, of in functions.items()}
        values, residuals = found["eigenpairs"]
        return {
            "loss": float(found["loss"]),
            "eigenvalues": np.asarray(values).tolist(),
            "residuals": np.asarray(residuals).tolist(),
            "trace": {"mean": float(found["trace"].mean), "standard_error": float(found["trace"].standard_error)},
            "fisher_trace": float(found["fisher"]) if "fisher" in found else None,
            "sharpness": {name: float(found[name]) for name in ("uniform", "filter")},
        }

    def along_line(
        of_line: Callable[..., jax.Array], bench: LandscapeBench, first: Network, second: Network
    ) -> dict[str, Any]:
        t = jnp.linspace(-reach, reach, 2 * num_points - 1).at[num_points - 1].set(0.0)
        values = np.asarray(of_line(linear_path(first.params, second.params), state_of(bench, first), t))
        roots = jnp.sqrt(jnp.maximum(values, 0.0))
        slopes = one_sided_slopes(roots, t)
        return {
            "t": np.asarray(t).tolist(),
            "values": values.tolist(),
            "slopes": [float(slopes.left), float(slopes.right)],
            "asymmetry": float(valley_asymmetry(roots, t)),
        }

    def measure(bench: LandscapeBench) -> dict[str, Any]:
        networks = {name: bench.networks[reference] for name, reference in points}
        value = loss_of(bench, loss)
        of_line = jax.jit(lambda path, state, t: jax.lax.map(lambda at: value(path(at), state), t))
        with jax.default_matmul_precision("highest"):
            functions = measures(bench)
            return {
                "kind": "curvature",
                "title": bench.config.title,
                "batch_norm": bench.batch_norm,
                "loss": loss,
                "points": {name: at_point(bench, functions, network) for name, network in networks.items()},
                "lines": {f"{a} -> {b}": along_line(of_line, bench, networks[a], networks[b]) for a, b in lines},
            }

    return Analysis(tuple(reference for _, reference in points), measure)
