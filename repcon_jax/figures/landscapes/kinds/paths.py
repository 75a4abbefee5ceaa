"""Results of kind ``paths``: metrics along paths between networks, by group of pairs, and their barriers."""

import pathlib
from typing import Any

import numpy as np

from repcon_jax.figures.landscapes.result_kinds import RESULT_KINDS, ResultKind, Table
from repcon_jax.figures.landscapes.scales import numbers, scale_of
from repcon_jax.figures.landscapes.words import mean_and_spread, number


@RESULT_KINDS.register("paths")
def paths() -> ResultKind:
    """Values along the paths and barriers of the pairs; a table of the barriers."""
    return ResultKind(_draw, _tables, settings=("path", "aligned"))


def _draw(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    # Imported here because matplotlib takes a second, for which no table need wait.
    from repcon_jax.figures.landscapes.paths import write_paths

    return write_paths(folder, results)


def _tables(results: dict[str, Any]) -> list[Table]:
    table = [["metric", "group", "pairs", "barrier over the line", "over the mean (instability)", "lowest", "highest"]]
    for metric in dict.fromkeys(m for group in results["groups"].values() for m in group["instability"]):
        scale = scale_of(results, metric)
        for name, group in results["groups"].items():
            summary = group["instability"].get(metric)
            if summary is not None:
                over_line = [pair["barrier"].get(metric, {}).get("over_line") for pair in group["pairs"]]
                spreads = mean_and_spread(_summary(over_line), scale), mean_and_spread(summary, scale)
                ends = number(summary["min"], scale), number(summary["max"], scale)
                table.append([scale.label, name, str(len(group["pairs"])), *spreads, *ends])
    return [table]


def _summary(values: list[float | None]) -> dict[str, float | None]:
    finite = numbers(values)
    finite = finite[np.isfinite(finite)]
    return {
        "mean": float(finite.mean()) if finite.size else None,
        "std": float(finite.std(ddof=1)) if finite.size > 1 else None,
    }
