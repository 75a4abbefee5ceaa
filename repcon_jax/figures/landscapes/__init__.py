"""Pictures, pages and tables of landscapes, by the kind of their results."""

import pathlib
from typing import Any

from repcon_jax.figures.landscapes.report import write_landscape_report
from repcon_jax.figures.landscapes.result_kinds import RESULT_KINDS, ResultKind
from repcon_jax.figures.landscapes.tables import landscape_tables


def write_landscape_figures(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws the results of a landscape.

    Args:
        folder: for the pictures; made where it is missing.
        results: of a kind of ``RESULT_KINDS``.
    Returns:
        Paths of what was written, PNG pictures and interactive HTML pages.
    Raises:
        ConfigError: the results are of another kind.
    """
    kind = RESULT_KINDS.build(results["kind"])
    folder.mkdir(parents=True, exist_ok=True)
    return kind.draw(folder, results)


__all__ = ["RESULT_KINDS", "ResultKind", "landscape_tables", "write_landscape_figures", "write_landscape_report"]
