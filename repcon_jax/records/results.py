"""From the final numbers of members to means and spreads over seeds."""

import statistics
from collections.abc import Sequence
from typing import Any

Point = dict[str, Any]


def summarise_population(members: Sequence[tuple[Point, dict[str, Any]]]) -> dict[str, Any]:
    """The contents of ``results.json``.

    Args:
        members: point and results of every member.
    Returns:
        What ``summarise`` gives where only seeds differ; otherwise ``{"seeds", "steps", "points"}``, where each point
        is what ``summarise`` gives for its members, with its ``"values"``.
    """
    points: list[Point] = []
    for values, _ in members:
        if values not in points:
            points.append(values)
    if points == [{}]:
        return summarise([result for _, result in members])
    summaries = [{"values": p, **summarise([r for values, r in members if values == p])} for p in points]
    steps = max(summary["steps"] for summary in summaries)
    return {"seeds": list(dict.fromkeys(r["seed"] for _, r in members)), "steps": steps, "points": summaries}


def summarise(members: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation and values over members for every number that they share.

    Args:
        members: results of all members.
    Returns:
        ``{"seeds", "steps", "probe": {encoder: {probe: {"mean", "std", "values"}}}, "train", "test", "distance"}``
        and, where the objective measures it, ``"kl"`` over the last epoch. Accuracies lie in [0, 1]. Members that
        diverged are left out, and their seeds listed under ``"diverged"``.
    """
    diverged = [m["seed"] for m in members if "diverged" in m]
    members = [m for m in members if "diverged" not in m] or members
    first = members[0]
    probe = {
        encoder: {name: _probe_spread([m["probe"][encoder][name] for m in members]) for name in probes}
        for encoder, probes in first["probe"].items()
    }
    groups = {
        group: {name: spread([m[group][name] for m in members]) for name in first[group]}
        for group in ("train", "test", "distance")
    }
    kl = {"kl": groups["train"]["kl"]} if "kl" in groups["train"] else {}
    about = {"seeds": [m["seed"] for m in members], "steps": first["steps"]}
    return {**about, **({"diverged": diverged} if diverged else {}), "probe": probe, **kl, **groups}


def _probe_spread(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """The spread of the accuracy, and every detail that a probe gave (C, converged, finite, ...) for each member."""
    details = {key: [score[key] for score in scores] for key in scores[0] if key != "accuracy"}
    return {**spread([score["accuracy"] for score in scores]), **details}


def spread(values: list[float]) -> dict[str, Any]:
    """Mean and sample standard deviation, which a single value does not have."""
    return {
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "values": values,
    }
