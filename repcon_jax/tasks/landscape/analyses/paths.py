"""Paths between runs from one start, their barriers, and the instability of training from that start."""

import itertools
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.landscape.barriers import barrier, barrier_over_mean, instability
from repcon_jax.landscape.paths import PATHS, Path
from repcon_jax.landscape.surfaces import on_path, states_for
from repcon_jax.merging import match_weights
from repcon_jax.random import stream
from repcon_jax.records.scores import plain_scores
from repcon_jax.run.references import Loaded
from repcon_jax.symmetry import apply_permutation, permutation_spec
from repcon_jax.tasks.landscape.analyses import ANALYSES, Analysis
from repcon_jax.tasks.landscape.bench import LandscapeBench
from repcon_jax.tasks.landscape.store import as_json


@ANALYSES.register("paths")
def paths(
    *,
    groups: dict[str, tuple[str, ...]],
    kind: Literal["linear", "spherical"] = "linear",
    num_points: int = 21,
    align: bool = False,
) -> Analysis:
    """Measures the paths between networks, group by group.

    Args:
        groups: references by the name of what the networks share, such as their start. Within a group, pairs are
            formed of all members that one ``RUN/*/STEP`` stands for, and of all references without a star.
        kind: of the path.
        num_points: on each path, ends included.
        align: whether the second network's units are first permuted to match the first's, so that barriers are those
            modulo permutation.

    Source: Frankle et al., arXiv 1912.05671, section 2; Random Teachers are Good Teachers (arXiv 2302.12091), figure 9.
    """
    check_range("num_points", num_points, 2)

    def measure(bench: LandscapeBench) -> dict[str, Any]:
        pairs = {name: _pairs(name, references, bench) for name, references in groups.items()}
        measured = {
            name: [_measure_pair(bench, pair, kind, num_points, align) for pair in pairs_of_group]
            for name, pairs_of_group in pairs.items()
        }
        return path_results(bench, measured, num_points, kind, align)

    return Analysis(tuple(itertools.chain(*groups.values())), measure, adjustable=("num_points",))


def path_results(
    bench: LandscapeBench, groups: dict[str, list[dict[str, Any]]], num_points: int, kind: str, aligned: bool
) -> dict[str, Any]:
    """The results of paths, as figures read them.

    Args:
        bench: says how they were measured.
        groups: for each group what ``along`` returned for every path.
        num_points: on each path.
        kind: of the paths.
        aligned: whether networks were permuted first.
    """
    return {
        "kind": "paths",
        "title": bench.config.title,
        "batch_norm": bench.batch_norm,
        "scores": plain_scores(bench.scores()),
        "path": kind,
        "aligned": aligned,
        "t": np.linspace(0, 1, num_points).tolist(),
        "groups": {name: {"pairs": pairs, "instability": _instability(pairs)} for name, pairs in groups.items()},
    }


def along(bench: LandscapeBench, path: Path, networks: list[Loaded], num_points: int, kind: str) -> dict[str, Any]:
    """Every metric along a path, and the barriers.

    Args:
        bench: measures.
        path: through the networks.
        networks: its points, as they were loaded.
        num_points: on the path, ends included.
        kind: of the path, part of the name under which values are kept.
    """
    ends = [networks[0].name, networks[-1].name]
    name = re.sub(r"[^\w.+-]", "_", f"{kind}__{'__'.join(loaded.name for loaded in networks)}")
    about = {"networks": [loaded.digest for loaded in networks], "path": kind, "batch_norm": bench.config.batch_norm}
    surface = path, states_for(bench.config.batch_norm, [loaded.network.model_state for loaded in networks])
    values = bench.values(name, about, on_path, surface, np.linspace(0, 1, num_points)[:, None])
    return {
        "ends": ends,
        "values": {metric: as_json(column) for metric, column in values.items()},
        "barrier": {
            metric: {"over_line": as_json(barrier(column)), "over_mean": as_json(barrier_over_mean(column))}
            for metric, column in values.items()
        },
    }


def pairs_within(expanded: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Pairs within the members that each star stands for, and among the references without one.

    >>> pairs_within([["a/0", "a/1"], ["x"], ["y"]])
    [('a/0', 'a/1'), ('x', 'y')]
    """
    single = [names[0] for names in expanded if len(names) == 1]
    sets = [names for names in expanded if len(names) > 1] + [single]
    return [pair for names in sets for pair in itertools.combinations(names, 2)]


def _pairs(group: str, references: tuple[str, ...], bench: LandscapeBench) -> list[tuple[Loaded, Loaded]]:
    names = pairs_within([bench.expanded(reference) for reference in references])
    if not names:
        problem = f"has {group!r} with a single network, which has no path to another"
        raise ArgumentError("groups", problem, "name at least two").within("analysis")
    return [(bench.networks[first], bench.networks[second]) for first, second in names]


def _measure_pair(
    bench: LandscapeBench, pair: tuple[Loaded, Loaded], kind: str, num_points: int, align: bool
) -> dict[str, Any]:
    first, second = pair
    if align:
        second = _aligned(bench, first, second)
    return along(
        bench,
        PATHS[kind]([first.network.params, second.network.params]),
        [first, second],
        num_points,
        f"aligned_{kind}" if align else kind,
    )


def _aligned(bench: LandscapeBench, first: Loaded, second: Loaded) -> Loaded:
    """The second network with its units in the order of the first one's."""
    fixed, moved = first.network, second.network
    spec = permutation_spec(fixed.model, fixed.params, fixed.model_state)
    permutation, _ = match_weights(spec, fixed.params, moved.params, stream(bench.key, "alignment"))
    params, model_state = (apply_permutation(spec, permutation, tree) for tree in (moved.params, moved.model_state))
    return second._replace(network=moved.replace(params=params, model_state=model_state))


def _instability(pairs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    table = {metric: np.array([pair["values"][metric] for pair in pairs], float) for metric in pairs[0]["values"]}
    return {m: {name: as_json(value) for name, value in instability(values).items()} for m, values in table.items()}
