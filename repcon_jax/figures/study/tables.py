"""The numbers of a study as Markdown and CSV."""

import csv
import io
import math
import pathlib
from typing import Any

from repcon_jax.figures.study.places import meaning, of_kind, score_name, setting_title, settings, shown, unit_of
from repcon_jax.records.files import write_atomically
from repcon_jax.records.scores import Score

Rows = list[list[str]]
_COLUMNS = ("measurement", "score", "unit", "networks", "target", "shots", "mean", "low", "high", "count")


def study_tables(results: dict[str, Any]) -> str:
    """Every score by network and target, mean and half of the 95% interval; then differences and claims.

    Args:
        results: of a study.
    """
    tables = [_of_score(results, *scored) for count in (1, 2) for scored in of_kind(results, count).items()]
    if results["differences"]:
        tables.append(_differences(results))
    if results["claims"]:
        tables.append(_claims(results))
    if results["compared"]:
        tables.append(_compared(results))
    return "\n\n".join(tables)


def write_study_tables(workdir: pathlib.Path, results: dict[str, Any]) -> None:
    """Writes ``means.csv``, a line a mean, in plain units (fractions, not percent).

    Args:
        workdir: of the study.
        results: of it.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for mean in results["means"]:
        unit = meaning(results, score_name(mean)).unit
        row = {**mean, "unit": unit, "networks": " & ".join(mean["networks"])}
        writer.writerow([row[name] for name in _COLUMNS])
    write_atomically(workdir / "means.csv", stream.getvalue())


def with_interval(mean: dict[str, Any], score: Score) -> str:
    """A mean and half of its 95% interval, in the unit that is shown.

    >>> with_interval({"mean": 0.5, "low": 0.4, "high": 0.6}, Score("accuracy", "fraction"))
    '50.00 ± 10.00'
    """
    digits = ".2f" if score.unit == "fraction" else ".4g"
    if not math.isfinite(mean["mean"]):
        return "not finite"
    text = f"{shown(mean['mean'], score):{digits}}"
    if mean["low"] is None:
        return text
    half = (mean["high"] - mean["low"]) / 2
    return f"{text} ± {shown(half, score):{'.2f' if score.unit == 'fraction' else '.2g'}}"


def _of_score(results: dict[str, Any], name: str, means: list[dict[str, Any]]) -> str:
    score, places = meaning(results, name), settings(means)
    by_place = {(tuple(mean["networks"]), (mean["target"], mean["shots"])): mean for mean in means}
    rows = [[f"{name}: {score.label}{unit_of(score)}", *(setting_title(*place) or "all" for place in places)]]
    for networks in dict.fromkeys(tuple(mean["networks"]) for mean in means):
        cells = [by_place.get((networks, place)) for place in places]
        rows.append([" and ".join(networks), *("" if mean is None else with_interval(mean, score) for mean in cells)])
    return markdown(rows)


def _differences(results: dict[str, Any]) -> str:
    rows = [[f"difference to {results['baseline']}", "score", "target", "difference"]]
    for row in results["differences"]:
        score = meaning(results, score_name(row))
        label = f"{score_name(row)}{unit_of(score)}"
        rows.append([row["network"], label, setting_title(row["target"], row["shots"]), with_interval(row, score)])
    return markdown(rows)


def _claims(results: dict[str, Any]) -> str:
    rows = [["claim", "target", "difference", "verdict"]]
    for row in results["claims"]:
        score = meaning(results, score_name(row))
        difference = f"{with_interval(row, score)}{unit_of(score)}"
        rows.append([f"`{row['claim']}`", setting_title(row["target"], row["shots"]), difference, row["verdict"]])
    return markdown(rows)


def _compared(results: dict[str, Any]) -> str:
    rows = [["compared", "target", "networks", "Kendall's tau"]]
    for compared in results["compared"]:
        for place in compared["targets"]:
            tau = place["kendall_tau"]
            names = " and ".join(compared["scores"])
            count = str(len(place["points"]))
            rows.append(
                [names, setting_title(place["target"], place["shots"]), count, "" if tau is None else f"{tau:.2f}"]
            )
    return markdown(rows)


def markdown(rows: Rows) -> str:
    """Rows as a Markdown table, the first of them its head, numbers to the right."""
    lines = [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)
