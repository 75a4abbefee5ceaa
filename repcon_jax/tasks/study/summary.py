"""From rows to means with intervals, paired differences, verdicts and rank correlations."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from repcon_jax.records.intervals import interval, rank_correlation, verdict
from repcon_jax.records.scores import plain_scores
from repcon_jax.tasks.study.claims import Claim
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.rows import Row

Values = dict[tuple[int | None, int], float]
"""By seed and draw; NaN for what is not finite."""


class Place(NamedTuple):
    """Where a mean stands, beside its networks."""

    measurement: str
    score: str
    target: str | None
    shots: int | None
    layer: str | None = None

    @property
    def name(self) -> str:
        """Measurement and score, as ``results["scores"]`` names them."""
        return f"{self.measurement}/{self.score}"


Measured = dict[Place, dict[tuple[str, ...], Values]]
"""All values by place and networks."""


def summarise_study(config: StudyConfig, rows: Sequence[Row], data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The contents of ``results.json``.

    Args:
        config: of the study.
        rows: everything that was measured.
        data: what is to be said of the data of every target; None for nothing.
    """
    measured = gather(rows)
    measured |= of_groups(config.groups, measured)
    details = {_where(row): row["details"] for row in rows}
    return {
        "kind": "study",
        "title": config.title,
        "networks": list(config.all_networks),
        "targets": list(config.targets),
        "groups": {group: list(targets) for group, targets in config.groups.items()},
        "data": dict(data or {}),
        "shots": list(config.shots),
        "layers": list(config.layers),
        "seeds": sorted({row["seed"] for row in rows if row["seed"] is not None}),
        "draws": config.draws if config.shots else 1,
        "scores": plain_scores(config.scores("network", "pair")),
        "means": [
            {
                **place._asdict(),
                "networks": list(networks),
                **interval(independent(values)),
                "values": _listed(values),
                "details": _spread([details.get((*place, networks, *key), {}) for key in values]),
            }
            for place, by_networks in measured.items()
            for networks, values in by_networks.items()
        ],
        "baseline": config.baseline,
        "differences": [] if config.baseline is None else _differences(config.baseline, measured),
        "claims": [row for text, claim in config.parsed_claims().items() for row in judge(text, claim, measured)],
        "compared": [_compared(names, config.all_networks, measured) for names in config.compared_scores()],
    }


def seconds_of(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """How often every measurement was made, and the seconds that this took, features that it computed first included.

    They stand apart from the results, which are the same whenever they are written.
    """
    seconds: dict[str, dict[tuple[Any, ...], float]] = {}
    for row in rows:
        seconds.setdefault(row["measurement"], {})[_where({**row, "score": ""})] = row["seconds"]
    return {name: {"times": len(cells), "seconds": sum(cells.values())} for name, cells in seconds.items()}


def gather(rows: Iterable[Row]) -> Measured:
    """Values by place, networks, seed and draw."""
    measured: Measured = {}
    for row in rows:
        place = Place(*(row[name] for name in Place._fields))
        values = measured.setdefault(place, {}).setdefault(tuple(row["networks"]), {})
        values[row["seed"], row["draw"]] = math.nan if row["value"] is None else row["value"]
    return measured


def of_groups(groups: Mapping[str, Sequence[str]], measured: Measured) -> Measured:
    """The means over the targets of every group, seed by seed and draw by draw, where all of them were measured.

    Args:
        groups: names of targets by that of the group.
        measured: all values of single targets.
    """
    means: Measured = {}
    for group, targets in groups.items():
        places = dict.fromkeys(place._replace(target=None) for place in measured if place.target in targets)
        for place in places:
            parts = [measured.get(place._replace(target=target), {}) for target in targets]
            for networks in parts[0]:
                values = [part.get(networks, {}) for part in parts]
                shared = [key for key in values[0] if all(key in others for others in values)]
                if shared:
                    mean = {key: statistics.fmean(others[key] for others in values) for key in shared}
                    means.setdefault(place._replace(target=group), {})[networks] = mean
    return means


def independent(values: Values) -> list[float]:
    """One value a seed, its mean over draws; where there is one seed or none, one value a draw."""
    by_seed: dict[int | None, list[float]] = {}
    for (seed, _), value in values.items():
        by_seed.setdefault(seed, []).append(value)
    return list(map(statistics.fmean, by_seed.values())) if len(by_seed) > 1 else list(values.values())


def paired(first: Values, second: Values) -> Values:
    """The differences first - second where seed and draw agree; what has no seed stands beside every one."""
    seeds = sorted({seed for seed, _ in (*first, *second) if seed is not None}) or [None]
    differences = {}
    for seed in seeds:
        for draw in sorted({draw for _, draw in (*first, *second)}):
            a, b = (values.get((seed, draw), values.get((None, draw))) for values in (first, second))
            if a is not None and b is not None:
                differences[seed, draw] = a - b
    return differences


def judge(text: str, claim: Claim, measured: Measured) -> list[dict[str, Any]]:
    """The verdict on a claim at every target and number of shots at which both networks were measured.

    Where that is nowhere it is undecided, with a count of 0.

    Args:
        text: of the claim.
        claim: what it says.
        measured: all values.
    """
    rows = []
    for place, by_networks in measured.items():
        first, second = (by_networks.get((name,), {}) for name in (claim.first, claim.second))
        differences = independent(paired(first, second)) if place.name == claim.score else []
        if differences:
            around = interval(differences)
            judged = verdict(around, claim.relation, claim.threshold)
            rows.append({"claim": text, **place._asdict(), "verdict": judged, **around})
    nowhere = {
        **Place(*claim.score.split("/"), None, None)._asdict(),
        "mean": None,
        "low": None,
        "high": None,
        "count": 0,
    }
    return rows or [{"claim": text, "verdict": "undecided", **nowhere}]


def _differences(baseline: str, measured: Measured) -> list[dict[str, Any]]:
    """Every single network's paired differences to the baseline."""
    rows = []
    for place, by_networks in measured.items():
        others = {
            names[0]: values for names, values in by_networks.items() if len(names) == 1 and baseline not in names
        }
        for network, values in others.items():
            differences = independent(paired(values, by_networks.get((baseline,), {})))
            if differences:
                rows.append({**place._asdict(), "network": network, **interval(differences)})
    return rows


def _compared(names: tuple[str, str], networks: Sequence[str], measured: Measured) -> dict[str, Any]:
    """Means of two scores, network by network, and their rank correlation, at every target and number of shots."""
    places = dict.fromkeys(place[2:] for place in measured if place.name in names)
    targets = []
    for where in places:
        pairs = [(n, *(_mean_at(Place(*name.split("/"), *where), n, measured) for name in names)) for n in networks]
        points = [{"network": network, "x": x, "y": y} for network, x, y in pairs if x is not None and y is not None]
        if points:
            tau = rank_correlation([point["x"] for point in points], [point["y"] for point in points])
            at = dict(zip(Place._fields[2:], where, strict=True))
            targets.append({**at, "points": points, "kendall_tau": tau})
    return {"scores": list(names), "targets": targets}


def _mean_at(place: Place, network: str, measured: Measured) -> float | None:
    """A network's mean; that without shots, or without a target, where the score has none."""
    for other in (place, place._replace(shots=None), place._replace(target=None, shots=None, layer=None)):
        values = measured.get(other, {}).get((network,))
        if values is not None:
            return interval(independent(values))["mean"]
    return None


def _listed(values: Values) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "draw": draw, "value": value if math.isfinite(value) else None}
        for (seed, draw), value in values.items()
    ]


def _spread(details: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Median and range of every detail that is a number, over seeds and draws; the rows hold them one by one."""
    numbers: dict[str, list[float]] = {}
    for one in details:
        for name, value in one.items():
            if isinstance(value, (int, float)):
                numbers.setdefault(name, []).append(float(value))
    return {
        name: {"median": statistics.median(given), "low": min(given), "high": max(given)}
        for name, given in numbers.items()
    }


def _where(row: Row) -> tuple[Any, ...]:
    return (*(row[name] for name in Place._fields), tuple(row["networks"]), row["seed"], row["draw"])
