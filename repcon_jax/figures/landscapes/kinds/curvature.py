"""Results of kind ``curvature``: how curved a loss is at points, and the valleys along lines between them."""

import pathlib
from typing import Any

import numpy as np

from repcon_jax.figures.landscapes.result_kinds import RESULT_KINDS, ResultKind, Table
from repcon_jax.figures.landscapes.scales import numbers
from repcon_jax.figures.landscapes.words import number


@RESULT_KINDS.register("curvature")
def curvature() -> ResultKind:
    """Spectra, traces and sharpness of the points and the loss along the lines; a table of each."""
    return ResultKind(_draw, lambda results: [_points(results), _lines(results)], settings=("loss",))


def _draw(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    # Imported here because matplotlib takes a second, for which no table need wait.
    from repcon_jax.figures.landscapes.curvature import write_curvature

    return write_curvature(folder, results)


def _points(results: dict[str, Any]) -> Table:
    sharpness = ["sharpness, uniform", "sharpness, filter"]
    table = [["point", "largest eigenvalue", "smallest found", "trace ± standard error", "Fisher trace", *sharpness]]
    for name, point in results["points"].items():
        values = numbers(point["eigenvalues"])
        values = values[np.isfinite(values)]
        ends = [number(float(end)) for end in (values.max(), values.min())] if values.size else [number(None)] * 2
        trace = f"{number(point['trace']['mean'])} ± {number(point['trace']['standard_error'])}"
        sharp = [number(point["sharpness"].get(kind)) for kind in ("uniform", "filter")]
        table.append([name, *ends, trace, number(point.get("fisher_trace")), *sharp])
    return table


def _lines(results: dict[str, Any]) -> Table:
    table = [["line", "slope on the left", "slope on the right", "asymmetry"]]
    for name, line in results["lines"].items():
        table.append([name, *map(number, line["slopes"]), number(line["asymmetry"])])
    return table
