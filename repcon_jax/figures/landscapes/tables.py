"""The numbers of landscapes as Markdown tables."""

from typing import Any

import numpy as np

from repcon_jax.errors import ConfigError, did_you_mean
from repcon_jax.figures.landscapes.scales import numbers, scale_of
from repcon_jax.figures.landscapes.words import mean_and_spread, number

Table = list[list[str]]


def landscape_tables(results: dict[str, Any]) -> str:
    """The numbers of a landscape as Markdown: at marked points, of barriers and instabilities, or of curvature.

    Args:
        results: of kind ``plane``, ``paths`` or ``curvature``.
    Returns:
        The tables, one below the other.
    Raises:
        ConfigError: the results are of another kind.
    """
    tables = {"plane": _plane_tables, "paths": _path_tables, "curvature": _curvature_tables}
    kind = results["kind"]
    if kind not in tables:
        raise ConfigError(f"results of kind {kind!r} have no tables; {did_you_mean(kind, tables)}")
    return "\n\n".join(_markdown(table) for table in tables[kind](results) if len(table) > 1)


def _markdown(table: Table) -> str:
    table = [table[0], ["---", *["---:"] * (len(table[0]) - 1)], *table[1:]]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in table]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def _plane_tables(results: dict[str, Any]) -> list[Table]:
    points = results["points"]
    places = ["({})".format(", ".join(number(c) for c in point["coordinates"])) for point in points]
    table = [["metric", *(point["name"] for point in points)], ["coordinates", *places]]
    for metric in dict.fromkeys(metric for point in points for metric in point["values"]):
        scale = scale_of(metric)
        table.append([scale.label, *(number(point["values"].get(metric), scale) for point in points)])
    return [table]


def _path_tables(results: dict[str, Any]) -> list[Table]:
    table = [["metric", "group", "pairs", "barrier over the line", "over the mean (instability)", "lowest", "highest"]]
    for metric in dict.fromkeys(m for group in results["groups"].values() for m in group["instability"]):
        scale = scale_of(metric)
        for name, group in results["groups"].items():
            summary = group["instability"].get(metric)
            if summary is not None:
                over_line = [pair["barrier"].get(metric, {}).get("over_line") for pair in group["pairs"]]
                spreads = mean_and_spread(_summary(over_line), metric), mean_and_spread(summary, metric)
                ends = number(summary["min"], scale), number(summary["max"], scale)
                table.append([scale.label, name, str(len(group["pairs"])), *spreads, *ends])
    return [table]


def _summary(values: list[float | None]) -> dict[str, float | None]:
    found = numbers(values)
    found = found[np.isfinite(found)]
    return {
        "mean": float(found.mean()) if found.size else None,
        "std": float(found.std(ddof=1)) if found.size > 1 else None,
    }


def _curvature_tables(results: dict[str, Any]) -> list[Table]:
    sharpness = ["sharpness, uniform", "sharpness, filter"]
    points = [["point", "largest eigenvalue", "smallest found", "trace ± standard error", "Fisher trace", *sharpness]]
    for name, point in results["points"].items():
        found = numbers(point["eigenvalues"])
        found = found[np.isfinite(found)]
        ends = [number(float(end)) for end in (found.max(), found.min())] if found.size else [number(None)] * 2
        trace = f"{number(point['trace']['mean'])} ± {number(point['trace']['standard_error'])}"
        sharp = [number(point["sharpness"].get(kind)) for kind in ("uniform", "filter")]
        points.append([name, *ends, trace, number(point.get("fisher_trace")), *sharp])
    lines = [["line", "slope on the left", "slope on the right", "asymmetry"]]
    for name, line in results["lines"].items():
        lines.append([name, *map(number, line["slopes"]), number(line["asymmetry"])])
    return [points, lines]
