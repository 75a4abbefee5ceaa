"""The plane from one network along two directions: at random, of a trajectory, or of largest curvature."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ConfigError, check_range
from repcon_jax.landscape.curvature import leading_eigenpairs
from repcon_jax.landscape.directions import filter_normalise, principal_directions, random_direction
from repcon_jax.landscape.planes import extent_around, plane_along, project
from repcon_jax.random import stream
from repcon_jax.run.references import Network
from repcon_jax.tasks.landscape.analyses import ANALYSES, Analysis
from repcon_jax.tasks.landscape.analyses.plane import measure_plane
from repcon_jax.tasks.landscape.bench import LandscapeBench
from repcon_jax.tasks.landscape.losses import loss_of, state_of
from repcon_jax.trees import norm
from repcon_jax.typing import PyTree


@ANALYSES.register("directions")
def directions(
    *,
    centre: str,
    along: Literal["random", "trajectory", "hessian"] = "random",
    trajectory: tuple[str, ...] = (),
    loss: str = "kl_divergence",
    iterations: int = 30,
    extent: tuple[float, float, float, float] | None = None,
    margin: float = 0.25,
    resolution: tuple[int, int] = (25, 25),
    crops: tuple[tuple[float, float, float, float], ...] = (),
) -> Analysis:
    """Measures the plane through a network along two directions.

    Args:
        centre: reference of the network.
        along: ``random``, filter-normalised Gaussian directions; ``trajectory``, the two principal directions of the
            way to the centre, as long as the centre's distance from the first network on it; ``hessian``, the
            eigenvectors of the two largest eigenvalues of the loss, as long as the centre's parameter vector.
        trajectory: references of networks on the way; they are marked, by their projection.
        loss: whose Hessian, see the analysis ``curvature``.
        iterations: of Lanczos.
        extent: (x_min, x_max, y_min, y_max) in units of the directions; None for (-1, 1, -1, 1) or, of a trajectory,
            what it spans with a margin.
        margin: around a trajectory.
        resolution, crops: as in the analysis ``plane``.

    Sources: Li et al., arXiv 1712.09913, sections 4 and 7; Yao et al., arXiv 1912.07145 (Hessian eigenvectors).
    """
    check_range("margin", margin, 0)
    check_range("iterations", iterations, 2)
    if along == "trajectory" and len(trajectory) < 3:
        raise ConfigError(
            f"analysis.trajectory names {len(trajectory)} networks but two directions need at least 3; name more "
            "checkpoints, which --config.runs.NAME.checkpoint.keep_every keeps."
        )

    def vectors(bench: LandscapeBench, network: Network) -> list[PyTree]:
        if along == "random":
            keys = [stream(bench.key, "direction", i) for i in range(2)]
            return [filter_normalise(random_direction(key, network.params), network.params) for key in keys]
        if along == "trajectory":
            path = [bench.networks[reference].params for reference in trajectory]
            found, _ = principal_directions(path, centre=network.params)
            length = norm(jax.tree.map(lambda a, b: a - b, path[0], network.params))
        else:
            value, key, state = loss_of(bench, loss), stream(bench.key, "lanczos"), state_of(bench, network)
            of_state = partial(leading_eigenpairs, lambda params: value(params, state), count=2, iterations=iterations)
            pairs = jax.jit(of_state)(network.params, key).vectors
            found = [jax.tree.map(lambda leaf, i=i: leaf[i], pairs) for i in range(2)]
            length = norm(network.params)
        return [jax.tree.map(lambda leaf: length * leaf, vector) for vector in found]

    def measure(bench: LandscapeBench) -> dict[str, Any]:
        network = bench.networks[centre]
        plane = plane_along(network.params, *vectors(bench, network))
        way = {reference: project(plane, bench.networks[reference].params) for reference in trajectory}
        points = {centre: [0.0, 0.0]} | {name: np.asarray(at).tolist() for name, at in way.items()}
        box = extent
        if box is None and way:
            box = extent_around(jnp.array(list(points.values())), margin)
        about = {
            "networks": [bench.networks[name].digest for name in (centre, *trajectory)],
            "origin": "centre",
            "basis": "raw",
            "along": along,
            "seed": bench.config.seed,
        }
        states = [network.model_state] * 3
        boxes = [box or (-1.0, 1.0, -1.0, 1.0), *crops]
        return measure_plane(bench, plane, points, states, about, boxes, resolution, names={})

    return Analysis((centre, *trajectory), measure)
