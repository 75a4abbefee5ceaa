"""Planes from above: one picture a grid, one panel a metric, with contours of a norm and the marked points."""

import pathlib
import textwrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colors, ticker

from repcon_jax.figures.landscapes.drawing import (
    axis_labels,
    label_outer,
    panel_grid,
    save,
    set_title,
    width_over_height,
)
from repcon_jax.figures.landscapes.overlays import draw_contours, draw_crops, draw_points, line_handles
from repcon_jax.figures.landscapes.scales import Scale, limits, numbers, scale_of, split_neutral
from repcon_jax.figures.landscapes.words import slug

_SIDE = 3.2


def write_planes(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws ``plane_<grid>.png`` for every grid.

    Args:
        folder: for the pictures.
        results: of kind ``plane``.
    Returns:
        Paths of the pictures.
    """
    return [
        save(plane_figure(results, grid), folder / f"plane_{slug(grid['name'])}.png")
        for grid in results["grids"]
        if grid["values"]
    ]


def plane_figure(results: dict[str, Any], grid: dict[str, Any]) -> plt.Figure:
    """The metrics of one grid of a plane, one coloured cell for each point of the grid.

    Of metrics that are neither good nor bad, such as norms, the first is drawn as contours over the others.

    Args:
        results: of kind ``plane``.
        grid: one of its grids.
    """
    x, y = (cell_edges(np.array(grid[name], np.float64)) for name in "xy")
    metrics, _ = split_neutral(results, grid["values"])
    equal = results["basis"] != "raw"
    ratio = width_over_height(results, x, y)
    size = (_SIDE * ratio**0.5 + 0.9, _SIDE * ratio**-0.5 + 0.45)
    figure, panels = panel_grid(len(metrics), size, sharex=True, sharey=True)
    for panel, metric in zip(panels, metrics, strict=True):
        scale = scale_of(results, metric)
        _draw_cells(panel, (x, y), grid["values"][metric], scale)
        panel.set_title(textwrap.fill(scale.label, int(13 * size[0])), fontsize=9)
        draw_contours(panel, results, grid)
        draw_crops(panel, results, grid)
        panel.set(xlim=x[[0, -1]], ylim=y[[0, -1]])
        if equal:
            panel.set_aspect("equal")
    handles = draw_points(panels, results, (x, y)) + line_handles(results, grid)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    label_outer(panels, axis_labels(results))
    set_title(figure, results, grid)
    return figure


def cell_edges(centres: np.ndarray) -> np.ndarray:
    """Edges of cells around points in order, half way between them; a single point is in the middle of a cell of 1.

    >>> cell_edges(np.array([0.0, 1.0, 3.0])).tolist()
    [-0.5, 0.5, 2.0, 4.0]
    """
    if len(centres) == 1:
        return centres[0] + np.array([-0.5, 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _draw_cells(panel: plt.Axes, edges: tuple[np.ndarray, np.ndarray], values: list[Any], scale: Scale) -> None:
    shown = numbers(values, scale.factor)
    low, high = limits(shown, scale.logarithmic)
    high = high if scale.logarithmic or scale.is_fraction else min(high, _without_cliffs(shown, low))
    ends = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    extend = ends[bool((shown < low).any()), bool((shown > high).any())]
    norm = (colors.LogNorm if scale.logarithmic else colors.Normalize)(low, high)
    # A logarithm has no colour for the exact zero of a divergence at its reference; the bar's arrow says there is one.
    image = panel.pcolormesh(*edges, np.maximum(shown, low), norm=norm, cmap=scale.colours, rasterized=True)
    # Part of the panel, so that it stays as high as the panel whatever its aspect.
    bar = panel.figure.colorbar(image, cax=panel.inset_axes((1.03, 0, 0.05, 1)), extend=extend)
    bar.ax.tick_params(labelsize=7)
    panel.set_facecolor("0.75")
    panel.xaxis.set_major_locator(ticker.MaxNLocator(5))


def _without_cliffs(values: np.ndarray, low: float) -> float:
    """Where a linear scale ends, so that huge values on a part of a plane do not take all its colours."""
    finite = values[np.isfinite(values)]
    middle = float(np.median(finite)) if finite.size else low
    return low + 10 * (middle - low) if middle > low else np.inf
