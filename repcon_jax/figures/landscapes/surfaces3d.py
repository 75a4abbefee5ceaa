"""Planes as surfaces over their coordinates: still pictures of two metrics."""

import pathlib
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects, ticker

from repcon_jax.figures.landscapes.drawing import MARKER_STYLE, MARKERS, axis_labels, save, set_title, width_over_height
from repcon_jax.figures.landscapes.scales import Scale, first_of_each, limits, numbers, scale_of
from repcon_jax.figures.landscapes.words import slug

_HALO = [patheffects.withStroke(linewidth=2.5, foreground="white")]


def write_surfaces(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws ``surface_<grid>_<metric>.png`` for every grid that is no line.

    Drawn are the first metric of which low values are good, such as a loss, and the first of which high ones are.

    Args:
        folder: for the pictures.
        results: of kind ``plane``.
    Returns:
        Paths of the pictures.
    """
    return [
        save(surface_figure(results, grid, metric), folder / f"surface_{slug(grid['name'])}_{slug(metric)}.png")
        for grid in results["grids"]
        if is_surface(grid)
        for metric in first_of_each(results, grid["values"])
    ]


def is_surface(grid: dict[str, Any]) -> bool:
    """Whether a grid has at least two points in both directions."""
    return min(len(grid["x"]), len(grid["y"])) > 1


def heights(values: Any, scale: Scale, low: float) -> np.ndarray:
    """Values as heights: in their unit, or the decimal logarithm, at least that of ``low``."""
    shown = numbers(values, scale.factor)
    return np.log10(np.maximum(shown, low)) if scale.logarithmic else shown


def height_label(scale: Scale) -> str:
    """Label of the vertical axis."""
    return f"log10 of {scale.label}" if scale.logarithmic else scale.label


def points_inside(results: dict[str, Any], grid: dict[str, Any]) -> list[dict[str, Any]]:
    """The marked points that lie on a grid."""
    return [
        point
        for point in results["points"]
        if all(min(grid[n]) <= c <= max(grid[n]) for n, c in zip("xy", point["coordinates"], strict=True))
    ]


def surface_figure(results: dict[str, Any], grid: dict[str, Any], metric: str) -> plt.Figure:
    """The surface of one metric over one grid, its marked points on pins.

    Args:
        results: of kind ``plane``.
        grid: one of its grids, with at least two points in both directions.
        metric: to draw.
    """
    scale = scale_of(results, metric)
    low, _ = limits(numbers(grid["values"][metric], scale.factor), scale.logarithmic)
    z = heights(grid["values"][metric], scale, low)
    bottom, top = limits(z, False)
    figure = plt.figure(figsize=(6.8, 5.2), layout="constrained")
    panel = figure.add_subplot(projection="3d", computed_zorder=False)
    x, y = np.meshgrid(grid["x"], grid["y"])
    colours = plt.get_cmap(scale.colours)((z - bottom) / (top - bottom))
    colours[~np.isfinite(z)] = 0.0
    panel.plot_surface(x, y, z, facecolors=colours, rcount=100, ccount=100, linewidth=0, antialiased=False, zorder=1)
    for i, point in enumerate(points_inside(results, grid)):
        height = float(heights([point["values"].get(metric)], scale, low)[0])
        if np.isfinite(height):
            _draw_pin(panel, point, i, height, top + 0.12 * (top - bottom))
    across, up = axis_labels(results)
    panel.set_xlabel(across, fontsize=8)
    panel.set_ylabel(up, fontsize=8)
    panel.set_zlabel(height_label(scale), fontsize=8)
    panel.tick_params(labelsize=7)
    panel.view_init(elev=35, azim=-60)
    panel.xaxis.set_major_locator(ticker.MaxNLocator(5))
    panel.yaxis.set_major_locator(ticker.MaxNLocator(5))
    ratio = width_over_height(results, grid["x"], grid["y"])
    panel.set_box_aspect((4 * ratio**0.5, 4 * ratio**-0.5, 3), zoom=1.05)
    set_title(figure, results, grid)
    return figure


def _draw_pin(panel: Any, point: dict[str, Any], index: int, height: float, head: float) -> None:
    """A pin stands upwards, where no part of the surface hides it."""
    x, y = point["coordinates"]
    panel.plot([x, x], [y, y], [height, head], color="black", linewidth=1.0, zorder=5)
    panel.plot([x], [y], [height], marker=MARKERS[index % len(MARKERS)], markersize=6, zorder=6, **MARKER_STYLE)
    text = panel.text(x, y, head, point["name"], fontsize=8, ha="center", va="bottom", zorder=7)
    text.set_path_effects(_HALO)
