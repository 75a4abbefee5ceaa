"""The numbers of a study as Markdown and CSV."""

import csv
import io
import math
import pathlib
from typing import Any

from repcon_jax.figures.numbers import axis_label, factor
from repcon_jax.figures.study.places import (
    Means,
    Results,
    differences_of,
    direction,
    meaning,
    means_of,
    score_name,
    setting_of,
    settings,
    short_name,
    unit_of,
)
from repcon_jax.figures.tables import Rows, markdown
from repcon_jax.records.files import write_atomically
from repcon_jax.records.scores import Score

_PLACE = (
    "measurement",
    "score",
    "label",
    "unit",
    "higher_is_better",
    "network",
    "other_network",
    "target",
    "shots",
    "layer",
)
_NUMBERS = ("mean", "low", "high", "count")
# More verdicts than these are counted.
_MOST_CLAIMS = 40


def study_tables(results: Results) -> str:
    """Claims and their verdicts; every score by network and target, with differences to the baseline; correlations.

    Args:
        results: of a study.
    """
    tables = [_claims(results)] if results["claims"] else []
    differences = differences_of(results)
    for name, means in (means_of(results, 1) | means_of(results, 2)).items():
        tables.append(_titled(results, name, means, meaning(results, name)))
        if name in differences:
            tables.append(_of_differences(results, name, differences[name]))
    if any(compared["targets"] for compared in results["compared"]):
        tables.append(_compared(results))
    return "\n\n".join(tables)


def write_study_tables(workdir: pathlib.Path, results: Results) -> None:
    """Writes ``means.csv``, ``differences.csv`` and ``claims.csv``, a line each, in plain units (fractions).

    Args:
        workdir: of the study.
        results: of it.
    """
    differences = [mean for means in differences_of(results).values() for mean in means]
    claims = [{**row, "networks": [""]} for row in results["claims"]]
    for name, means in (("means", results["means"]), ("differences", differences), ("claims", claims)):
        stream, more = io.StringIO(), ("claim", "verdict") if name == "claims" else ()
        writer = csv.DictWriter(stream, (*more, *_PLACE, *_NUMBERS), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for mean in means:
            score, (network, *other) = meaning(results, score_name(mean)), mean["networks"]
            declared = {"label": score.label, "unit": score.unit, "higher_is_better": score.higher_is_better}
            writer.writerow({**mean, **declared, "network": network, "other_network": "".join(other)})
        write_atomically(workdir / f"{name}.csv", stream.getvalue())


def with_interval(mean: dict[str, Any], score: Score) -> str:
    """A mean and half of its 95% interval, in the unit that is shown.

    >>> with_interval({"mean": 0.5, "low": 0.4, "high": 0.6}, Score("accuracy", "fraction"))
    '50.00 ± 10.00'
    >>> with_interval({"mean": 2.3456, "low": 2.2, "high": 2.5}, Score("loss", "nats"))
    '2.35 ± 0.15'
    >>> with_interval({"mean": None, "low": None, "high": None, "count": 3}, Score("accuracy", "fraction"))
    'not finite'
    """
    if mean["mean"] is None:
        return "not finite" if mean["count"] else "not measured"
    middle = factor(score) * mean["mean"]
    if mean["low"] is None:
        return format(middle, "z.2f" if score.unit == "fraction" else ".4g")
    half = factor(score) * (mean["high"] - mean["low"]) / 2
    decimals = 2 if score.unit == "fraction" else _decimals(middle, half)
    formats = (".4g", ".2g") if decimals is None else (f"z.{decimals}f",) * 2
    return f"{middle:{formats[0]}} ± {half:{formats[1]}}"


def _decimals(middle: float, half: float) -> int | None:
    """As many that two digits of the half and three of the larger are shown; None where they would be too many."""
    if half == 0:
        return None
    wanted = max(1 - math.floor(math.log10(half)), 2 - math.floor(math.log10(max(half, abs(middle)))))
    return max(wanted, 0) if -2 <= wanted <= 6 else None


def _titled(results: Results, name: str, means: Means, score: Score) -> str:
    targets = {mean["target"] for mean in means}
    where = f" on {targets.pop()}" if len(targets) == 1 and None not in targets else ""
    title = f"**{short_name(results, name)}{where}: {axis_label(score)}{direction(score)}**"
    return f"{title}\n\n{markdown(_grid(means, score), words=1)}"


def _of_differences(results: Results, name: str, differences: Means) -> str:
    score = meaning(results, name)
    unit = unit_of(score, difference=True)
    title = f"**{short_name(results, name)}, difference to {results['baseline']}{f' ({unit})' if unit else ''}**"
    return f"{title}\n\n{markdown(_grid(differences, score, stressed=True), words=1)}"


def _grid(means: Means, score: Score, stressed: bool = False) -> Rows:
    """Networks below each other; beside each other targets, or numbers of shots where there is one target."""
    places = settings(means)
    targets, shots = (list(dict.fromkeys(column)) for column in zip(*places, strict=True))
    across = "target" if len(targets) > 1 or shots == [None] else "shots"
    groups, columns = (shots, targets) if across == "target" else (targets, shots)
    named = len(groups) > 1
    titles = (
        ["mean"] if len(columns) == 1 else [f"{shots_in_words(c)} shots" if across == "shots" else c for c in columns]
    )
    rows = [["networks" if len(means[0]["networks"]) > 1 else "network", *(["shots"] if named else []), *titles]]
    networks = dict.fromkeys(tuple(mean["networks"]) for mean in means)
    by_place = {(tuple(mean["networks"]), setting_of(mean)): mean for mean in means}
    for group in groups:
        for pair in networks:
            order = [(column, group) if across == "target" else (group, column) for column in columns]
            cells = [_cell(by_place.get((pair, place)), score, stressed) for place in order]
            rows.append([" and ".join(pair), *([shots_in_words(group)] if named else []), *cells])
    return rows


def shots_in_words(value: int | None) -> str:
    """A number of training examples of each class, or all of them."""
    return "all" if value is None else str(value)


def _cell(mean: dict[str, Any] | None, score: Score, stressed: bool) -> str:
    if mean is None:
        return ""
    text = with_interval(mean, score)
    apart = mean["low"] is not None and (mean["low"] > 0 or mean["high"] < 0)
    return f"**{text}**" if stressed and apart else text


def _claims(results: Results) -> str:
    """Every verdict; where there are many, how often each claim holds, and the verdicts on groups of targets."""
    given = results["claims"]
    if len(given) <= _MOST_CLAIMS:
        return _verdicts(results, given)
    counts = [["claim", "holds", "fails", "undecided"]]
    for claim in dict.fromkeys(row["claim"] for row in given):
        own = [row["verdict"] for row in given if row["claim"] == claim]
        counts.append([f"`{claim}`", *(str(own.count(verdict)) for verdict in counts[0][1:])])
    of_groups = [row for row in given if row["target"] in results.get("groups", {})]
    told = "Counted over all targets, groups of them and numbers of shots; every verdict stands in `claims.csv`."
    tables = [markdown(counts, words=1), told, *([_verdicts(results, of_groups)] if of_groups else [])]
    return "\n\n".join(tables)


def _verdicts(results: Results, given: Means) -> str:
    rows = [["claim", "on", "difference", "verdict"]]
    for row in given:
        score = meaning(results, score_name(row))
        difference = f"{with_interval(row, score)} {unit_of(score, difference=True)}".rstrip()
        rows.append([f"`{row['claim']}`", str(setting_of(row)), difference, row["verdict"]])
    return markdown(rows, words=4)


def _compared(results: Results) -> str:
    rows = [["compared", "on", "networks", "Kendall's tau"]]
    for compared in results["compared"]:
        names = " and ".join(short_name(results, name) for name in compared["scores"])
        for place in compared["targets"]:
            tau = "" if place["kendall_tau"] is None else f"{place['kendall_tau']:.2f}"
            rows.append([names, str(setting_of(place)), str(len(place["points"])), tau])
    return markdown(rows, words=2)
