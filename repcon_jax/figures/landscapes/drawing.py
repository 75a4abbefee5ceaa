"""What the pictures of landscapes share: grids of panels, titles, files."""

import math
import pathlib
import textwrap
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from repcon_jax.figures.landscapes.words import describe, title_of

MARKERS = ("o", "s", "^", "D", "P", "v")
# White inside and black outside, a marker shows on every colour.
MARKER_STYLE = {"markerfacecolor": "white", "markeredgecolor": "black", "markeredgewidth": 1.4, "linestyle": "none"}
# A legend with the names of three points fits.
_NARROWEST = 4.8
AXIS_NAMES = {"raw": "coordinate", "orthonormal": "distance", "orthonormal_rms": "RMS change per parameter"}


def panel_grid(
    count: int, size: tuple[float, float], most: int = 5, **shared: bool
) -> tuple[plt.Figure, list[plt.Axes]]:
    """A figure with ``count`` panels of ``size`` inches in rows that leave as few places empty as possible.

    Args:
        count: of panels.
        size: width and height of one.
        most: panels in a row.
        **shared: ``sharex`` and ``sharey`` of ``plt.subplots``.
    """
    widths = range(min(count, most), 0 if count <= most else most // 2, -1)
    columns = min(widths, key=lambda width: (-count % width, -width))
    rows = math.ceil(count / columns)
    shape = {"figsize": (max(columns * size[0], _NARROWEST), rows * size[1] + 1.0)}
    figure, panels = plt.subplots(rows, columns, squeeze=False, layout="constrained", **shape, **shared)
    for panel in panels.flat[count:]:
        panel.remove()
    return figure, list(panels.flat[:count])


def label_outer(panels: list[plt.Axes], labels: tuple[str, str]) -> None:
    """Names both axes of panels that share them, and numbers them, at the left and bottom panels only."""
    places = [panel.get_subplotspec() for panel in panels]
    for panel, place in zip(panels, places, strict=True):
        below = any(p.colspan == place.colspan and p.rowspan.start > place.rowspan.start for p in places)
        panel.tick_params(labelsize=7, labelbottom=not below, labelleft=place.is_first_col())
        panel.set_xlabel("" if below else labels[0], fontsize=8)
        panel.set_ylabel(labels[1] if place.is_first_col() else "", fontsize=8)


def set_title(figure: plt.Figure, results: dict[str, Any], grid: dict[str, Any] | None = None) -> None:
    """Puts the results' title, the name of a grid that is a part of a plane, and ``describe`` above the panels."""
    # A letter of this size is about a twelfth of an inch wide.
    width = int(12 * figure.get_figwidth())
    lines = [textwrap.fill(text, width) for text in (title_of(results, grid), describe(results))]
    figure.suptitle("\n".join(lines), fontsize=10)


def axis_labels(results: dict[str, Any]) -> tuple[str, str]:
    """Labels of both axes of a plane, by its basis."""
    name = AXIS_NAMES[results["basis"]]
    return (f"{name} 1", f"{name} 2") if results["basis"] != "orthonormal_rms" else (f"{name}, 1", f"{name}, 2")


def width_over_height(results: dict[str, Any], x: Any, y: Any) -> float:
    """Of what is drawn over x and y: to scale where both are distances, but neither very wide nor very high.

    >>> width_over_height({"basis": "orthonormal"}, [0.0, 3.0], [0.0, 2.0])
    1.5
    """
    if results["basis"] == "raw":
        return 1.0
    return float(np.clip(np.ptp(x) / np.ptp(y), 0.4, 3.0))


def save(figure: plt.Figure, path: pathlib.Path) -> pathlib.Path:
    """Writes and closes a figure."""
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
