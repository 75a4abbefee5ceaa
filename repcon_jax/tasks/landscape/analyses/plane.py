"""The plane through three networks: every metric on a grid, with closer views of parts of it."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.landscape.planes import Basis, Extent, Origin, Plane, extent_around, grid, plane_through
from repcon_jax.landscape.surfaces import on_plane, states_for
from repcon_jax.records.scores import plain_scores
from repcon_jax.tasks.landscape.analyses import ANALYSES, Analysis
from repcon_jax.tasks.landscape.bench import LandscapeBench
from repcon_jax.tasks.landscape.store import as_json


@ANALYSES.register("plane")
def plane(
    *,
    points: tuple[tuple[str, str], ...],
    origin: Origin = "first",
    basis: Basis = "raw",
    margin: float = 0.5,
    extent: tuple[float, float, float, float] | None = None,
    resolution: tuple[int, int] = (25, 25),
    crops: tuple[tuple[float, float, float, float], ...] = (),
    zooms: tuple[float, ...] = (),
) -> Analysis:
    """Measures the plane through three networks.

    Args:
        points: three pairs of (name in the figure, reference of the network).
        origin, basis: see ``repcon_jax.landscape.planes.plane_through``.
        margin: around the points, as a fraction of their extent.
        extent: (x_min, x_max, y_min, y_max) instead.
        resolution: points along x and y, of the whole and of every crop.
        crops: further extents; what was measured already is not measured again.
        zooms: further extents about the first network, as fractions of the whole's.

    Source: Random Teachers are Good Teachers (arXiv 2302.12091), figures 5 and 13 to 16.
    """
    if len(points) != 3:
        raise ArgumentError("points", f"names {len(points)} networks but a plane goes through exactly 3", "name 3")
    check_range("margin", margin, 0)
    for size in resolution:
        check_range("resolution", size, 2)
    for fraction in zooms:
        check_range("zooms", fraction, 0, open_low=True)

    def measure(bench: LandscapeBench) -> dict[str, Any]:
        anchors = [bench.network(reference) for _, reference in points]
        plane = plane_through(*(anchor.network.params for anchor in anchors), origin=origin, basis=basis)
        places = np.asarray(plane.anchors)
        whole = extent or extent_around(plane.anchors, margin, None if basis == "raw" else 1.0)
        closer = [_zoomed(whole, places[0], fraction) for fraction in zooms]
        return measure_plane(
            bench,
            plane,
            dict(zip((name for name, _ in points), places.tolist(), strict=True)),
            [anchor.network.model_state for anchor in anchors],
            {"networks": [anchor.digest for anchor in anchors], "origin": origin, "basis": basis},
            [whole, *crops, *closer],
            resolution,
            {reference: name for name, reference in points},
        )

    adjustable = ("resolution", "extent", "margin", "crops", "zooms")
    return Analysis(tuple(reference for _, reference in points), measure, adjustable=adjustable)


def measure_plane(
    bench: LandscapeBench,
    plane: Plane,
    points: dict[str, list[float]],
    states: list[Any],
    about: dict[str, Any],
    extents: list[Extent],
    resolution: tuple[int, int],
    names: Mapping[str, str],
) -> dict[str, Any]:
    """The results of a plane, as figures read them.

    Args:
        bench: measures.
        plane: where.
        points: coordinates of the networks that are marked, by name.
        states: model states of the plane's anchors.
        about: what the plane depends on.
        extents: the whole, then crops.
        resolution: points along x and y.
        names: what networks are called in figures, by reference.
    """
    surface = (plane, states_for(bench.config.batch_norm, states))
    about = {**about, "batch_norm": bench.config.batch_norm}

    def values(coordinates: np.ndarray) -> dict[str, np.ndarray]:
        return bench.values("plane", about, on_plane, surface, coordinates)

    places = np.array(list(points.values()))
    grids = [np.asarray(grid(box, resolution)) for box in extents]
    values(np.concatenate([places, *grids]))  # all in one program, of which the parts are then read
    marked = {metric: as_json(column) for metric, column in values(places).items()}
    return {
        "kind": "plane",
        "title": bench.config.title,
        "batch_norm": bench.batch_norm,
        "scores": plain_scores(bench.scores()),
        **{name: about[name] for name in ("origin", "basis")},
        "reference": names.get(bench.config.reference, bench.config.reference),
        "points": [
            {"name": name, "coordinates": at, "values": {m: v[i] for m, v in marked.items()}}
            for i, (name, at) in enumerate(points.items())
        ],
        "grids": [
            _grid("whole" if i == 0 else f"crop_{i}", box, resolution, values(coordinates))
            for i, (box, coordinates) in enumerate(zip(extents, grids, strict=True))
        ],
    }


def _zoomed(extent: Extent, about: np.ndarray, fraction: float) -> Extent:
    width, height = fraction * (extent[1] - extent[0]) / 2, fraction * (extent[3] - extent[2]) / 2
    x, y = about.tolist()
    return (x - width, x + width, y - height, y + height)


def _grid(name: str, extent: Extent, resolution: tuple[int, int], values: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "name": name,
        "extent": list(extent),
        "x": jnp.linspace(*extent[:2], resolution[0]).tolist(),
        "y": jnp.linspace(*extent[2:], resolution[1]).tolist(),
        "values": {metric: as_json(column.reshape(resolution[::-1])) for metric, column in values.items()},
    }
