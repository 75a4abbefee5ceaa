"""A path through several networks, or a trained curve between two, beside the straight line between its ends."""

from typing import Any, Literal

import jax

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.landscape.paths import PATHS, curve, linear_path
from repcon_jax.tasks.landscape.analyses import ANALYSES, Analysis
from repcon_jax.tasks.landscape.analyses.paths import along, path_results
from repcon_jax.tasks.landscape.bench import LandscapeBench


@ANALYSES.register("route")
def route(
    *,
    through: tuple[str, ...],
    kind: Literal["linear", "spherical", "piecewise", "bezier"] = "piecewise",
    bends: str | None = None,
    curve_kind: Literal["bezier", "polygonal"] = "bezier",
    num_points: int = 41,
) -> Analysis:
    """Measures one path.

    Args:
        through: references of the networks, from start to end.
        kind: of the path through them.
        bends: the trained bends of a curve between the first and the last of them, a run of the objective ``curve``;
            then ``through`` has two networks and ``kind`` does not count.
        curve_kind: of that curve, as it was trained.
        num_points: on the path, ends included.

    Source: Garipov et al., arXiv 1802.10026, section 3.
    """
    check_range("num_points", num_points, 2)
    if len(through) < 2 or (bends is not None and len(through) != 2):
        problem = f"names {len(through)} networks but a path needs at least two, and a trained curve its two ends"
        raise ArgumentError("through", problem)

    def measure(bench: LandscapeBench) -> dict[str, Any]:
        networks = [bench.network(reference) for reference in through]
        ends = [networks[0], networks[-1]]
        first, last = (end.network.params for end in ends)
        groups = {"straight line": [along(bench, linear_path(first, last), ends, num_points, "linear")]}
        if bends is None:
            path = PATHS[kind]([loaded.network.params for loaded in networks])
            if kind != "linear" or len(networks) > 2:
                groups[f"{kind} path"] = [along(bench, path, networks, num_points, kind)]
        else:
            trained = bench.network(bends)
            path = curve(curve_kind, first, last, trained.network.params)
            inner = jax.tree.leaves(trained.network.params)[0].shape[0]
            points = [ends[0], *[trained] * inner, ends[1]]
            groups["trained curve"] = [along(bench, path, points, num_points, f"{curve_kind}_curve")]
        return path_results(bench, groups, num_points, kind if bends is None else f"{curve_kind} curve", False)

    return Analysis(through, measure, curves=() if bends is None else (bends,), adjustable=("num_points",))
