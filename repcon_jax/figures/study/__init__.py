"""Studies as tables, pictures and a report; everything is read from the results and their declarations."""

import pathlib
from typing import Any

from repcon_jax.figures.study.report import write_study_report
from repcon_jax.figures.study.tables import study_tables, write_study_tables


def write_study_figures(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws every picture of ``repcon_jax.figures.study.pictures``; those of earlier results go.

    Args:
        folder: where to; made if need be.
        results: of a study.
    Returns:
        Paths of the pictures.
    """
    # Imported here because matplotlib takes a second, for which no start need wait.
    from repcon_jax.figures.study import drawing

    return drawing.write_figures(folder, results)


__all__ = ["study_tables", "write_study_figures", "write_study_report", "write_study_tables"]
