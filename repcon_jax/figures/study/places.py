"""Where the means of a study stand: by score, target and number of shots."""

from collections.abc import Iterable
from typing import Any

from repcon_jax.records.scores import Score, read_scores

Means = list[dict[str, Any]]


def score_name(mean: dict[str, Any]) -> str:
    """Measurement and score of a mean, as ``results["scores"]`` names them."""
    return f"{mean['measurement']}/{mean['score']}"


def of_kind(results: dict[str, Any], networks: int) -> dict[str, Means]:
    """The means of single networks (1) or of pairs (2), by the name of their score."""
    by_score: dict[str, Means] = {}
    for mean in results["means"]:
        if len(mean["networks"]) == networks:
            by_score.setdefault(score_name(mean), []).append(mean)
    return by_score


def settings(means: Iterable[dict[str, Any]]) -> list[tuple[str | None, int | None]]:
    """Targets and numbers of shots, each once, in the order of the results."""
    return list(dict.fromkeys((mean["target"], mean["shots"]) for mean in means))


def setting_title(target: str | None, shots: int | None) -> str:
    """A target and its number of shots in words.

    >>> setting_title("digits", 5)
    'digits, 5 of each class'
    """
    return (target or "") + ("" if shots is None else f", {shots} of each class")


def meaning(results: dict[str, Any], name: str) -> Score:
    """What a score means."""
    return read_scores(results).get(name, Score(name))


def shown(value: float | None, score: Score) -> float | None:
    """A value as it is shown: fractions in percent."""
    return None if value is None else 100 * value if score.unit == "fraction" else value


def unit_of(score: Score) -> str:
    """The unit in brackets, as it stands on an axis or above a column.

    >>> unit_of(Score("accuracy", "fraction")), unit_of(Score("distance"))
    (' (%)', '')
    """
    unit = "%" if score.unit == "fraction" else score.unit
    return f" ({unit})" if unit else ""
