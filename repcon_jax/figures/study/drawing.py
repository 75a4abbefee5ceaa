"""What the pictures of a study share: panels, colours, intervals, legends; and how they are written."""

import pathlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from repcon_jax.figures.numbers import factor
from repcon_jax.figures.study.picture import PICTURES
from repcon_jax.figures.study.places import Means, Results, direction, short_name
from repcon_jax.records.scores import Score

_MOST_COLUMNS = 3
# Of one picture; a heat map shows more in less.
MOST_PANELS = 12
_MARKERS = "osD^vP*X"


def write_figures(folder: pathlib.Path, results: Results) -> list[pathlib.Path]:
    """Draws all pictures; see ``repcon_jax.figures.study.write_study_figures``."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in folder.glob("*.png"):  # of results that had other scores
        picture.unlink()
    written = []
    for kind in PICTURES.names():
        for name, figure in PICTURES.build(kind)(results).items():
            path = folder / f"{re.sub(r'[^a-zA-Z0-9.+-]+', '_', name)}.png"
            figure.savefig(path, dpi=120)
            written.append(path)
    return written


def panels(count: int, size: tuple[float, float], **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure with some panels, a few in a row.

    Args:
        count: of panels.
        size: width and height of each, in inches.
        **shared: as ``matplotlib.figure.Figure.subplots`` takes it, such as ``sharey``.
    """
    columns = min(count, _MOST_COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns + 1.5, size[1] * rows + 0.4), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for surplus in axes[count:]:
        surplus.remove()
    return figure, axes[:count]


def write_numbers(axis: Axes, image: AxesImage, table: np.ndarray, where: Iterable[tuple[int, int]]) -> None:
    """Every number of a heat map on its colour; a dash where there is none, such as for a pair of two architectures.

    Args:
        axis: with the image.
        image: that shows the table.
        table: [rows, columns].
        where: row and column of the numbers that are written.
    """
    for row, column in where:
        value = table[row, column]
        dark = np.isfinite(value) and np.dot(image.cmap(image.norm(value))[:3], (0.3, 0.6, 0.1)) < 0.5
        text = f"{value:.3g}" if np.isfinite(value) else "-"
        axis.text(column, row, text, ha="center", va="center", color="white" if dark else "black", fontsize=8)


def looks(networks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of every network, the same in all pictures of a study."""
    few = len(networks) <= 10
    colours = mpl.colormaps["tab10"].colors if few else mpl.colormaps["turbo"](np.linspace(0.05, 0.95, len(networks)))
    return {name: {"color": colours[i], "marker": _MARKERS[i % len(_MARKERS)]} for i, name in enumerate(networks)}


def heights(means: Means, score: Score) -> np.ndarray:
    """Means as they are drawn; NaN for what is not finite."""
    return factor(score) * np.array([mean["mean"] for mean in means], float)


def errors(means: Means, score: Score) -> np.ndarray:
    """Distances of the means from the ends of their intervals, [2, means]; NaN where there is none."""
    middle, low, high = (np.array([mean[name] for mean in means], float) for name in ("mean", "low", "high"))
    return factor(score) * np.stack([middle - low, high - middle])


def keep_to_fractions(set_limits: Callable[[float, float], Any], limits: tuple[float, float], score: Score) -> None:
    """Ends an axis of fractions where these end, since intervals of few values reach beyond.

    Args:
        set_limits: of the axis.
        limits: that it has.
        score: what it shows.
    """
    if score.unit == "fraction":
        set_limits(max(limits[0], -2.0), min(limits[1], 102.0))


def legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend for all panels, beside them, in which every network stands once."""
    entries = {}
    for axis in axes:
        entries |= dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(entries.values(), entries.keys(), fontsize=8, loc="outside right upper")


def title(figure: Figure, results: Results, name: str, score: Score, what: str = "") -> None:
    """Writes above a figure what was measured and which way is good."""
    figure.suptitle(f"{short_name(results, name)}: {what}{score.label}{direction(score)}", fontsize=10)
