"""The plane from one network along two directions: at random, of a trajectory, or of largest curvature."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.landscape.curvature import leading_eigenpairs
from repcon_jax.landscape.directions import filter_normalise, principal_directions, random_direction
from repcon_jax.landscape.planes import Extent, extent_around, plane_along, project
from repcon_jax.models import Network
from repcon_jax.random import stream
from repcon_jax.tasks.landscape.analyses import ANALYSES, Analysis
from repcon_jax.tasks.landscape.analyses.plane import measure_plane
from repcon_jax.tasks.landscape.bench import LandscapeBench
from repcon_jax.tasks.landscape.losses import loss_of, measured, smooth_metric
from repcon_jax.trees import norm
from repcon_jax.typing import Key, Params, PyTree, Scalar


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
    if along == "hessian":
        smooth_metric(loss)
    if along == "trajectory" and len(trajectory) < 3:
        raise ArgumentError(
            "trajectory",
            f"names {len(trajectory)} networks but two directions need at least 3",
            "name more checkpoints, of which a run's checkpoint.keep_every keeps some",
        )

    def measure(bench: LandscapeBench) -> dict[str, Any]:
        network = bench.network(centre).network
        path = [bench.network(reference).network.params for reference in trajectory]
        plane = plane_along(network.params, *_directions(bench, network, along, path, loss, iterations))
        places = [project(plane, params) for params in path]
        points = {centre: [0.0, 0.0]} | dict(zip(trajectory, (np.asarray(at).tolist() for at in places), strict=True))
        box = _around(points, margin) if extent is None and trajectory else extent
        about = {
            "networks": [bench.network(name).digest for name in (centre, *trajectory)],
            "origin": "centre",
            "basis": "raw",
            "along": along,
            "seed": bench.config.seed,
        }
        states = [network.model_state] * 3
        boxes = [box or (-1.0, 1.0, -1.0, 1.0), *crops]
        return measure_plane(bench, plane, points, states, about, boxes, resolution, names={})

    return Analysis((centre, *trajectory), measure, adjustable=("resolution", "extent", "margin", "crops"))


def _directions(
    bench: LandscapeBench, network: Network, along: str, path: list[Params], loss: str, iterations: int
) -> list[PyTree]:
    if along == "random":
        return _random(bench, network)
    if along == "trajectory":
        return _along_trajectory(path, network)
    return _of_largest_curvature(bench, network, loss, iterations)


def _random(bench: LandscapeBench, network: Network) -> list[PyTree]:
    keys = [stream(bench.key, "direction", i) for i in range(2)]
    return [filter_normalise(random_direction(key, network.params), network.params) for key in keys]


def _along_trajectory(path: list[Params], network: Network) -> list[PyTree]:
    directions, _ = principal_directions(path, centre=network.params)
    return _scaled(directions, norm(jax.tree.map(lambda a, b: a - b, path[0], network.params)))


def _of_largest_curvature(bench: LandscapeBench, network: Network, loss: str, iterations: int) -> list[PyTree]:
    value, key, network = loss_of(bench, loss), stream(bench.key, "lanczos"), measured(bench, network)

    @jax.jit
    def eigenvectors(network: Network, key: Key) -> PyTree:
        def of_params(params: Params) -> Scalar:
            return value(network.replace(params=params))

        return leading_eigenpairs(of_params, network.params, key, count=2, iterations=iterations).vectors

    vectors = eigenvectors(network, key)
    return _scaled([jax.tree.map(lambda leaf, i=i: leaf[i], vectors) for i in range(2)], norm(network.params))


def _scaled(directions: list[PyTree], length: Scalar) -> list[PyTree]:
    return [jax.tree.map(lambda leaf: length * leaf, direction) for direction in directions]


def _around(points: dict[str, list[float]], margin: float) -> Extent:
    return extent_around(jnp.array(list(points.values())), margin)
