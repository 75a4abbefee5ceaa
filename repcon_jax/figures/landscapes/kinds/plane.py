"""Results of kind ``plane``: metrics on grids of a plane, and at marked points of it."""

import pathlib
from typing import Any

from repcon_jax.figures.landscapes.result_kinds import RESULT_KINDS, ResultKind, Table
from repcon_jax.figures.landscapes.scales import scale_of
from repcon_jax.figures.landscapes.words import number


@RESULT_KINDS.register("plane")
def plane() -> ResultKind:
    """Maps, surfaces and pages to turn of every grid; a table of the marked points."""
    return ResultKind(_draw, _tables, settings=("origin", "basis", "reference"))


def _draw(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    # Imported here because matplotlib takes a second, for which no table need wait.
    from repcon_jax.figures.landscapes import interactive, planes, surfaces3d

    writers = (planes.write_planes, surfaces3d.write_surfaces, interactive.write_pages)
    return [path for write in writers for path in write(folder, results)]


def _tables(results: dict[str, Any]) -> list[Table]:
    points = results["points"]
    places = ["({})".format(", ".join(number(c) for c in point["coordinates"])) for point in points]
    table = [["metric", *(point["name"] for point in points)], ["coordinates", *places]]
    for metric in dict.fromkeys(metric for point in points for metric in point["values"]):
        scale = scale_of(results, metric)
        table.append([scale.label, *(number(point["values"].get(metric), scale) for point in points)])
    return [table]
