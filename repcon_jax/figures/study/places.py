"""Where the means of a study stand, by score, target and number of shots, and how all that is called."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from repcon_jax.records.scores import Score, read_scores

Results = dict[str, Any]
Means = list[dict[str, Any]]


class Setting(NamedTuple):
    """What a mean was measured on.

    Args:
        target: name of the data set; None where there is none.
        shots: training examples of each class; None for all of them.
    """

    target: str | None
    shots: int | None

    def __str__(self) -> str:
        """In words, such as ``digits, 5 shots``; empty where there is nothing to say.

        >>> str(Setting("digits", 5)), str(Setting(None, None))
        ('digits, 5 shots', '')
        """
        shots = "" if self.shots is None else f"{self.shots} shots"
        return ", ".join(filter(None, [self.target, shots]))


def setting_of(mean: dict[str, Any]) -> Setting:
    """What a mean was measured on."""
    return Setting(mean["target"], mean["shots"])


def settings(means: Iterable[dict[str, Any]]) -> list[Setting]:
    """Targets and numbers of shots, each once, in the order of the results."""
    return list(dict.fromkeys(map(setting_of, means)))


def score_name(mean: dict[str, Any]) -> str:
    """Measurement and score of a mean, as ``results["scores"]`` names them, and any layer but the embedding.

    >>> score_name({"measurement": "probe", "score": "value", "layer": "block3"})
    'probe/value@block3'
    """
    layer = mean.get("layer")
    return f"{mean['measurement']}/{mean['score']}{f'@{layer}' if layer else ''}"


def by_score(means: Iterable[dict[str, Any]]) -> dict[str, Means]:
    """Means by the name of their score."""
    scores: dict[str, Means] = {}
    for mean in means:
        scores.setdefault(score_name(mean), []).append(mean)
    return scores


def means_of(results: Results, networks: int) -> dict[str, Means]:
    """The means of single networks (1) or of pairs (2), by the name of their score."""
    return by_score(mean for mean in results["means"] if len(mean["networks"]) == networks)


def differences_of(results: Results) -> dict[str, Means]:
    """The differences to the baseline, by the name of their score, in the form of means of single networks."""
    return by_score({**row, "networks": [row["network"]]} for row in results["differences"])


def meaning(results: Results, name: str) -> Score:
    """What a score means, in whatever layer."""
    name = name.partition("@")[0]
    return read_scores(results).get(name, Score(name))


def short_name(results: Results, name: str) -> str:
    """The measurement alone where it has a single score, which needs no name.

    >>> results = {"scores": {"probe/value": {}, "distance/cosine": {}, "distance/euclidean": {}}}
    >>> short_name(results, "probe/value"), short_name(results, "distance/cosine")
    ('probe', 'distance/cosine')
    """
    name, at, layer = name.partition("@")
    measurement = name.partition("/")[0]
    alone = sum(other.startswith(f"{measurement}/") for other in results["scores"]) == 1
    return f"{measurement if alone else name}{at}{layer}"


def direction(score: Score) -> str:
    """Which way is good, to be read after the label.

    >>> direction(Score("accuracy", higher_is_better=True)), direction(Score("distance"))
    (', higher is better', '')
    """
    return {None: "", True: ", higher is better", False: ", lower is better"}[score.higher_is_better]


def unit_of(score: Score, *, difference: bool = False) -> str:
    """The unit that is shown, empty for a bare number.

    >>> unit_of(Score("accuracy", "fraction")), unit_of(Score("accuracy", "fraction"), difference=True)
    ('%', 'percentage points')
    """
    if score.unit != "fraction":
        return score.unit
    return "percentage points" if difference else "%"
