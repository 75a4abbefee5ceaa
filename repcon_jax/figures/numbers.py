"""How numbers are shown: in the unit that was declared of them, with their spread."""

from collections.abc import Iterable, Mapping
from typing import Any

from repcon_jax.records.scores import ACCURACY, Score, read_scores


def factor(score: Score) -> float:
    """What a number is multiplied with to be shown: fractions are shown in percent.

    >>> factor(ACCURACY), factor(Score("loss", "nats"))
    (100.0, 1.0)
    """
    return 100.0 if score.unit == "fraction" else 1.0


def axis_label(score: Score) -> str:
    """Label and unit, for an axis or a column.

    >>> axis_label(ACCURACY), axis_label(Score("loss", "nats")), axis_label(Score("R^2"))
    ('accuracy (%)', 'loss (nats)', 'R^2')
    """
    unit = "%" if score.unit == "fraction" else score.unit
    return f"{score.label} ({unit})" if unit else score.label


def in_words(scores: Iterable[Score]) -> str:
    """Labels and units of several scores, each once.

    >>> in_words([ACCURACY, Score("loss", "nats"), ACCURACY])
    'accuracy in percent and loss in nats'
    """
    units = {score.label: "percent" if score.unit == "fraction" else score.unit for score in scores}
    return " and ".join(f"{label} in {unit}" if unit else label for label, unit in units.items())


def mean_and_std(spread: Mapping[str, Any], score: Score) -> str:
    """Mean and standard deviation of a number, for a table; the mean alone where there is one value.

    Args:
        spread: with ``"mean"`` and ``"std"``.
        score: what the number means.

    >>> mean_and_std({"mean": 0.5, "std": 0.01}, ACCURACY), mean_and_std({"mean": 2.3456, "std": None}, Score("loss"))
    ('50.00 ± 1.00', '2.35')
    """
    mean_format, std_format = (".2f", ".2f") if score.unit == "fraction" else (".3g", ".2g")
    mean = format(factor(score) * spread["mean"], mean_format)
    return mean if spread["std"] is None else f"{mean} ± {format(factor(score) * spread['std'], std_format)}"


def probe_scores(results: Mapping[str, Any]) -> dict[str, Score]:
    """What the probes of a run measure, by the text that names each.

    Args:
        results: of a run; those of versions that declared nothing hold accuracies.
    """
    declared = read_scores(results)
    points = results.get("points", [results])
    names = [probe for point in points for probes in point["probe"].values() for probe in probes]
    return {name: declared.get(name, ACCURACY) for name in dict.fromkeys(names)}


def score_of(name: str, results: Mapping[str, Any]) -> Score:
    """What was declared of a number; else it is only called by its name."""
    return read_scores(results).get(name, Score(name.replace("_", " ")))
