"""Figures, tables and reports of iterative pruning."""

import pathlib
from typing import Any

from repcon_jax.figures.lottery.report import lottery_table, write_lottery_report


def write_lottery_figures(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws accuracy against weights remaining, layerwise densities, training curves and studies as ``*.png``.

    Args:
        folder: made if need be.
        results: of a lottery.
    Returns:
        Paths of the pictures.
    """
    # Imported here because matplotlib takes a second, for which no start need wait.
    from repcon_jax.figures.lottery import drawing

    return drawing.write_figures(folder, results)


__all__ = ["lottery_table", "write_lottery_figures", "write_lottery_report"]
