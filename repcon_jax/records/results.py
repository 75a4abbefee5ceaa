"""From the final numbers of members to means and spreads over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from repcon_jax.records.scores import Score, plain_scores

Point = dict[str, Any]


def summarise_population(
    members: Sequence[tuple[Point, dict[str, Any]]], scores: Mapping[str, Score]
) -> dict[str, Any]:
    """The contents of ``results.json``.

    Args:
        members: point and results of every member.
        scores: what the numbers mean, by the name of the probe or metric.
    Returns:
        What ``summarise`` gives where only seeds differ; otherwise ``{"seeds", "steps", "points"}``, where each point
        is what ``summarise`` gives for its members, with its ``"values"``. In both the declarations stand under
        ``"scores"``, for ``records.scores.read_scores``.
    """
    points: list[Point] = []
    for values, _ in members:
        if values not in points:
            points.append(values)
    declared = {"scores": plain_scores(scores)}
    if points == [{}]:
        return {**summarise([result for _, result in members]), **declared}
    summaries = [{"values": p, **summarise([r for values, r in members if values == p])} for p in points]
    steps = max(summary["steps"] for summary in summaries)
    return {
        "seeds": list(dict.fromkeys(r["seed"] for _, r in members)),
        "steps": steps,
        "points": summaries,
        **declared,
    }


def summarise(members: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation and values over members for every number that they share.

    Args:
        members: results of all members.
    Returns:
        ``{"seeds", "steps", "probe": {encoder: {probe: {"mean", "std", "values"}}}, "train", "test", "distance"}``
        and, where the objective measures it, ``"kl"`` over the last epoch. Members that
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


def _probe_spread(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The spread of the value, and every detail that a probe gave (C, converged, finite, ...) for each member."""
    # Members that an older version finished have their value, then always an accuracy, under its name.
    results = [{"value": r["accuracy"], **r} if "value" not in r else r for r in results]
    details = {key: [r.get(key) for r in results] for key in results[0] if key not in ("value", "accuracy")}
    return {**spread([r["value"] for r in results]), **details}


def spread(values: list[float]) -> dict[str, Any]:
    """Mean and sample standard deviation, which a single value does not have."""
    return {
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "values": values,
    }
