"""How curved the loss is at networks, and how asymmetric the valleys between them are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.derivatives import Loss
from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.landscape.curvature import hessian_trace, leading_eigenpairs
from repcon_jax.landscape.fisher import fisher_trace
from repcon_jax.landscape.metric import build_metric
from repcon_jax.landscape.paths import linear_path
from repcon_jax.landscape.sharpness import sharpness
from repcon_jax.landscape.slopes import one_sided_slopes, valley_asymmetry
from repcon_jax.models import Network
from repcon_jax.random import stream
from repcon_jax.records.scores import plain_scores
from repcon_jax.tasks.landscape.analyses import ANALYSES, Analysis
from repcon_jax.tasks.landscape.bench import LandscapeBench
from repcon_jax.tasks.landscape.losses import loss_of, measured, smooth_metric, training_batches
from repcon_jax.typing import Key


class _Place(NamedTuple):
    """Where something is measured: the loss as a function of the parameters, and the network there."""

    loss: Loss
    network: Network
    images: jax.Array
    key: Key


Measure = Callable[[_Place], Any]


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
    _check_lines(lines, {name for name, _ in points})
    smooth_metric(loss)
    measures = _measures(eigenvalues, iterations, trace_samples, radius, relative_radius)
    if fisher_examples:
        measures["fisher"] = lambda at: fisher_trace(_logits(at), at.network.params, at.images, at.key).mean

    def measure(bench: LandscapeBench) -> dict[str, Any]:
        with jax.default_matmul_precision("highest"):
            networks = {name: measured(bench, bench.network(reference).network) for name, reference in points}
            at_point, along_line = _at_points(bench, loss, measures, fisher_examples), _along_lines(bench, loss)
            t = jnp.linspace(-reach, reach, 2 * num_points - 1).at[num_points - 1].set(0.0)
            return {
                "kind": "curvature",
                "title": bench.config.title,
                "batch_norm": bench.batch_norm,
                "loss": loss,
                "scores": plain_scores({loss: build_metric(loss).score}),
                "points": {name: at_point(network) for name, network in networks.items()},
                "lines": {f"{a} -> {b}": along_line(networks[a], networks[b], t) for a, b in lines},
            }

    return Analysis(tuple(reference for _, reference in points), measure, adjustable=("num_points",))


def _check_lines(lines: tuple[tuple[str, str], ...], names: set[str]) -> None:
    for name in {name for line in lines for name in line} - names:
        raise ArgumentError("lines", f"names {name!r}, which is none of points", "name one of them")


def _measures(
    eigenvalues: int, iterations: int, trace_samples: int, radius: float, relative_radius: float
) -> dict[str, Measure]:
    """What is measured at every point, by name; the name is also that of the random numbers that it gets."""
    leading = {"count": eigenvalues, "iterations": iterations}
    return {
        "loss": lambda at: at.loss(at.network.params),
        "eigenpairs": lambda at: leading_eigenpairs(at.loss, at.network.params, at.key, **leading)[::2],
        "trace": lambda at: hessian_trace(at.loss, at.network.params, at.key, trace_samples),
        "uniform": lambda at: sharpness(at.loss, at.network.params, radius, key=at.key),
        "filter": lambda at: sharpness(at.loss, at.network.params, relative_radius, scale="filter", key=at.key),
    }


def _logits(at: _Place) -> Callable[..., jax.Array]:
    return lambda params, images: at.network.replace(params=params).apply(images)[0].logits


def _at_points(
    bench: LandscapeBench, loss: str, measures: dict[str, Measure], fisher_examples: int
) -> Callable[[Network], dict[str, Any]]:
    """A network -> its entry in the results, by programs that all points share."""
    value = loss_of(bench, loss)
    images, _ = training_batches(bench)
    images = images.reshape(-1, *images.shape[2:])[:fisher_examples]

    def compiled(measure: Measure) -> Callable[[Network, Key], Any]:
        def run(network: Network, key: Key) -> Any:
            return measure(_Place(lambda params: value(network.replace(params=params)), network, images, key))

        return jax.jit(run)

    programs = {name: compiled(measure) for name, measure in measures.items()}

    def at_point(network: Network) -> dict[str, Any]:
        return _entry({name: program(network, stream(bench.key, name)) for name, program in programs.items()})

    return at_point


def _entry(values: dict[str, Any]) -> dict[str, Any]:
    eigenvalues, residuals = values["eigenpairs"]
    return {
        "loss": float(values["loss"]),
        "eigenvalues": np.asarray(eigenvalues).tolist(),
        "residuals": np.asarray(residuals).tolist(),
        "trace": {"mean": float(values["trace"].mean), "standard_error": float(values["trace"].standard_error)},
        "fisher_trace": float(values["fisher"]) if "fisher" in values else None,
        "sharpness": {name: float(values[name]) for name in ("uniform", "filter")},
    }


def _along_lines(bench: LandscapeBench, loss: str) -> Callable[[Network, Network, jax.Array], dict[str, Any]]:
    """Two networks, places on the line between them -> its entry in the results."""
    value = loss_of(bench, loss)

    @jax.jit
    def values_at(first: Network, second: Network, t: jax.Array) -> jax.Array:
        path = linear_path(first.params, second.params)
        return jax.lax.map(lambda at: value(first.replace(params=path(at))), t)

    def along_line(first: Network, second: Network, t: jax.Array) -> dict[str, Any]:
        values = np.asarray(values_at(first, second, t))
        roots = jnp.sqrt(jnp.maximum(values, 0.0))
        slopes = one_sided_slopes(roots, t)
        return {
            "t": np.asarray(t).tolist(),
            "values": values.tolist(),
            "slopes": [float(slopes.left), float(slopes.right)],
            "asymmetry": float(valley_asymmetry(roots, t)),
        }

    return along_line
