"""What lies over the colours of a plane: contours of a norm, frames of crops, and marked points."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects, ticker
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from repcon_jax.figures.landscapes.drawing import MARKER_STYLE, MARKERS
from repcon_jax.figures.landscapes.scales import numbers, scale_of, split_neutral

_HALO = [patheffects.withStroke(linewidth=1.6, foreground="black")]


def contoured(results: dict[str, Any], grid: dict[str, Any]) -> str | None:
    """The metric of a grid that is drawn as contours over the others: the first that says only where one is."""
    return next(iter(split_neutral(results, grid["values"])[1]), None)


def draw_contours(panel: plt.Axes, results: dict[str, Any], grid: dict[str, Any]) -> None:
    """Thin contours of one of a grid's metrics, labelled in their lines."""
    metric = contoured(results, grid)
    if metric is None:
        return
    values = numbers(grid["values"][metric], scale_of(results, metric).factor)
    if min(values.shape) < 2 or not np.isfinite(values).any():
        return
    low, high = np.nanmin(values), np.nanmax(values)
    levels = [level for level in ticker.MaxNLocator(6).tick_values(low, high) if low < level < high]
    if levels:
        masked = np.ma.masked_invalid(values)
        lines = panel.contour(grid["x"], grid["y"], masked, levels, colors="white", linewidths=0.8)
        lines.set_path_effects([patheffects.withStroke(linewidth=1.3, foreground="black", alpha=0.6)])
        for text in panel.clabel(lines, fontsize=7, fmt="%g"):
            text.set_path_effects(_HALO)


def draw_crops(panel: plt.Axes, results: dict[str, Any], grid: dict[str, Any]) -> None:
    """Frames of the crops in the whole plane."""
    if grid["name"] != "whole":
        return
    for crop in results["grids"]:
        if crop is not grid:
            x0, x1, y0, y1 = crop["extent"]
            frame = {"fill": False, "edgecolor": "white", "linestyle": "--", "linewidth": 0.9, "path_effects": _HALO}
            panel.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **frame))


def draw_points(panels: list[plt.Axes], results: dict[str, Any], edges: tuple[np.ndarray, np.ndarray]) -> list[Line2D]:
    """Marks the points that lie between the edges, in every panel.

    Args:
        panels: of one figure.
        results: of kind ``plane``.
        edges: of the cells, along both axes.
    Returns:
        Entries for a legend.
    """
    handles = []
    for i, point in enumerate(results["points"]):
        inside = all(e[0] <= c <= e[-1] for c, e in zip(point["coordinates"], edges, strict=True))
        style = {"marker": MARKERS[i % len(MARKERS)], "markersize": 7, "label": point["name"], **MARKER_STYLE}
        if inside:
            handles.append(Line2D([], [], **style))
            for panel in panels:
                panel.plot(*([c] for c in point["coordinates"]), zorder=5, **style)
    return handles


def line_handles(results: dict[str, Any], grid: dict[str, Any]) -> list[Line2D]:
    """Entries of the contours and frames for a legend."""
    metric = contoured(results, grid)
    names = {} if metric is None else {"-": f"contours: {scale_of(results, metric).title}"}
    if grid["name"] == "whole" and len(results["grids"]) > 1:
        names["--"] = "a crop"
    style = {"color": "white", "linewidth": 0.9, "path_effects": _HALO}
    return [Line2D([], [], linestyle=line, label=name, **style) for line, name in names.items()]
