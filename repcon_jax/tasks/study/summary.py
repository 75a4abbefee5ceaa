"""From rows to means with intervals, paired differences, verdicts and rank correlations."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from repcon_jax.records.intervals import interval, rank_correlation, verdict
from repcon_jax.records.scores import Score, plain_scores
from repcon_jax.tasks.study.claims import Claim
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.rows import Row

Place = tuple[str, str, str | None, int | None]
Values = dict[tuple[int | None, int], float]


def summarise_study(config: StudyConfig, rows: Sequence[Row]) -> dict[str, Any]:
    """The contents of ``results.json``.

    Args:
        config: of the study.
        rows: everything that was measured.
    """
    by_place = _by_place(rows)
    scores = {
        f"{name}/{score}": meaning
        for name, measurement in config.built_measurements().items()
        for score, meaning in measurement.scores.items()
    }
    return {
        "kind": "study",
        "title": config.title,
        "networks": list(config.all_networks),
        "targets": list(config.targets),
        "shots": list(config.shots),
        "seeds": sorted({row["seed"] for row in rows if row["seed"] is not None}),
        "draws": config.draws,
        "scores": plain_scores(scores),
        "means": [_mean(place, networks, values) for (place, networks), values in by_place.items()],
        "baseline": config.baseline,
        "differences": _differences(config, by_place),
        "claims": [
            judged
            for text, claim in config.parsed_claims().items()
            for judged in _judged(text, claim, scores, by_place)
        ],
        "compared": [_compared(pair, by_place, scores) for pair in config.compared],
    }


def _by_place(rows: Iterable[Row]) -> dict[tuple[Place, tuple[str, ...]], Values]:
    """Values by seed and draw, for every measurement, score, target, number of shots and networks."""
    by_place: dict[tuple[Place, tuple[str, ...]], Values] = {}
    for row in rows:
        place = row["measurement"], row["score"], row["target"], row["shots"]
        by_place.setdefault((place, tuple(row["networks"])), {})[row["seed"], row["draw"]] = row["value"]
    return by_place


def _labels(place: Place) -> dict[str, Any]:
    return dict(zip(("measurement", "score", "target", "shots"), place, strict=True))


def _independent(values: Values) -> list[float]:
    """One value a seed, its mean over draws; where there is one seed, one value a draw."""
    seeds = sorted({seed for seed, _ in values}, key=lambda seed: -1 if seed is None else seed)
    if len(seeds) == 1:
        return list(values.values())
    return [statistics.fmean(value for (other, _), value in values.items() if other == seed) for seed in seeds]


def _mean(place: Place, networks: tuple[str, ...], values: Values) -> dict[str, Any]:
    return {**_labels(place), "networks": list(networks), **interval(_independent(values)), "values": _listed(values)}


def _listed(values: Values) -> list[dict[str, Any]]:
    return [{"seed": seed, "draw": draw, "value": value} for (seed, draw), value in values.items()]


def paired(first: Values, second: Values) -> Values:
    """The differences first - second where seed and draw agree; what has no seed stands beside every one."""
    seeds = {seed for values in (first, second) for seed, _ in values if seed is not None} or {None}
    draws = {draw for values in (first, second) for _, draw in values}

    def at(values: Values, seed: int | None, draw: int) -> float | None:
        return values.get((seed, draw), values.get((None, draw)))

    pairs = {(s, d): (at(first, s, d), at(second, s, d)) for s in sorted(seeds, key=str) for d in sorted(draws)}
    return {place: a - b for place, (a, b) in pairs.items() if a is not None and b is not None}


def _differences(config: StudyConfig, by_place: dict[tuple[Place, tuple[str, ...]], Values]) -> list[dict[str, Any]]:
    rows = []
    for (place, networks), values in by_place.items():
        baseline = by_place.get((place, (config.baseline,)))
        if baseline is None or len(networks) != 1 or networks == (config.baseline,):
            continue
        difference = paired(values, baseline)
        rows.append({**_labels(place), "network": networks[0], **interval(_independent(difference))})
    return rows


def _judged(
    text: str, claim: Claim, scores: dict[str, Score], by_place: dict[tuple[Place, tuple[str, ...]], Values]
) -> list[dict[str, Any]]:
    """The verdict on a claim at every target and number of shots."""
    measurement, _, score = claim.measurement.partition("/")
    chosen = score or next(name.partition("/")[2] for name in scores if name.startswith(f"{measurement}/"))
    places = dict.fromkeys(place for place, _ in by_place if place[:2] == (measurement, chosen))
    judged = []
    for place in places:
        first, second = (by_place.get((place, (name,)), {}) for name in (claim.first, claim.second))
        differences = _independent(paired(first, second))
        if differences:
            found = interval(differences)
            judged.append(
                {"claim": text, **_labels(place), "verdict": verdict(found, claim.relation, claim.threshold), **found}
            )
    return judged


def _compared(
    pair: tuple[str, str], by_place: dict[tuple[Place, tuple[str, ...]], Values], scores: dict[str, Score]
) -> dict[str, Any]:
    """Means of two measurements' first scores, network by network, and their rank correlation at every target."""
    names = [next(name for name in scores if name.startswith(f"{measurement}/")) for measurement in pair]
    points: dict[tuple[str | None, int | None], dict[str, list[float]]] = {}
    for (place, networks), values in by_place.items():
        name = f"{place[0]}/{place[1]}"
        if len(networks) == 1 and name in names:
            at = points.setdefault(place[2:], {}).setdefault(networks[0], [None, None])
            at[names.index(name)] = statistics.fmean(values.values())
    return {
        "scores": names,
        "targets": [
            {
                "target": target,
                "shots": shots,
                "points": [{"network": n, "x": at[0], "y": at[1]} for n, at in found.items() if None not in at],
                "kendall_tau": rank_correlation(*zip(*[at for at in found.values() if None not in at], strict=True))
                if any(None not in at for at in found.values())
                else None,
            }
            for (target, shots), found in points.items()
        ],
    }
