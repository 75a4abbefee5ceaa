"""Curvature: spectra, traces and sharpness of networks, and the loss along lines between them."""

import pathlib
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from repcon_jax.figures.landscapes.drawing import MARKERS, panel_grid, save, set_title
from repcon_jax.figures.landscapes.scales import COLOURS, numbers, scale_of, spread_widely
from repcon_jax.figures.landscapes.words import number

# Bars of one panel: name, values by point and their standard errors, if any.
Bars = dict[str, tuple[np.ndarray, np.ndarray | None]]


def write_curvature(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws ``curvature.png``, and ``valleys.png`` where there are lines.

    Args:
        folder: for the pictures.
        results: of kind ``curvature``.
    Returns:
        Paths of the pictures.
    """
    written = [save(curvature_figure(results), folder / "curvature.png")] if results["points"] else []
    return written + ([save(valleys_figure(results), folder / "valleys.png")] if results["lines"] else [])


def curvature_figure(results: dict[str, Any]) -> plt.Figure:
    """The leading eigenvalues, the traces and the sharpness of every point.

    Args:
        results: of kind ``curvature``.
    """
    points = results["points"]
    figure, panels = panel_grid(4, (4.4, 3.6), most=2)
    _draw_spectra(panels[0], points)
    traces = [point["trace"] for point in points.values()]
    fisher = numbers([point.get("fisher_trace") for point in points.values()])
    bars: Bars = {"Hessian": (_column(traces, "mean"), _column(traces, "standard_error"))}
    if np.isfinite(fisher).any():
        bars["Fisher"] = (fisher, None)
    _draw_bars(panels[1], "trace (bar: standard error)", list(points), bars)
    sharpness = [point["sharpness"] for point in points.values()]
    for panel, name in zip(panels[2:], ("uniform", "filter"), strict=True):
        _draw_bars(panel, f"sharpness, {name}", list(points), {name: (_column(sharpness, name), None)})
    set_title(figure, results)
    return figure


def valleys_figure(results: dict[str, Any]) -> plt.Figure:
    """The loss along every line between points.

    Args:
        results: of kind ``curvature``.
    """
    scale = scale_of(results, results["loss"])
    figure, panels = panel_grid(len(results["lines"]), (4.2, 3.4))
    for panel, (name, line) in zip(panels, results["lines"].items(), strict=True):
        panel.plot(line["t"], numbers(line["values"], scale.factor), ".-", color=COLOURS[0], linewidth=1.5)
        if spread_widely(line["values"]):
            panel.set_yscale("log")
        _name_ends(panel, name, line["t"])
        slopes = ", ".join(number(slope) for slope in line["slopes"])
        panel.set_title(f"{name}\nslopes {slopes}; asymmetry {number(line['asymmetry'])}", fontsize=9)
        panel.set_xlabel("place on the line", fontsize=9)
        panel.grid(alpha=0.3)
    figure.supylabel(scale.label, fontsize=9)
    set_title(figure, results)
    return figure


def _name_ends(panel: plt.Axes, name: str, t: list[float]) -> None:
    """Ticks at the ends of the line say which point is there."""
    ends = dict(zip((0.0, 1.0), name.split(" -> "), strict=False))
    ticks = sorted({place for place in (min(t), 0.0, 0.5, 1.0, max(t)) if min(t) <= place <= max(t)})
    panel.set_xticks(ticks, [f"{tick:g}\n{ends.get(tick, '')}" for tick in ticks], fontsize=8)
    for place in ends.keys() & set(ticks):
        panel.axvline(place, color="0.5", linestyle="--", linewidth=0.8)


def _column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    return numbers([row.get(name) for row in rows])


def _draw_spectra(panel: plt.Axes, points: dict[str, Any]) -> None:
    for i, (name, point) in enumerate(points.items()):
        values = numbers(point["eigenvalues"])
        style = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)], "markersize": 4}
        errors = np.nan_to_num(numbers(point["residuals"]))
        panel.errorbar(np.arange(1, len(values) + 1), values, yerr=errors, label=name, linewidth=1, **style)
    every = np.concatenate([numbers(point["eigenvalues"]) for point in points.values()])
    sizes = np.abs(every[np.isfinite(every)])
    if spread_widely(every):
        panel.set_yscale("log")
    elif sizes.size and sizes.max() > 0:
        panel.set_yscale("symlog", linthresh=max(sizes.max() * 1e-3, sizes[sizes > 0].min()))
        panel.axhline(0, color="0.5", linewidth=0.8)
    panel.set_title("eigenvalues of the Hessian (bar: residual)", fontsize=10)
    panel.set_xlabel("rank", fontsize=9)
    panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7)


def _draw_bars(panel: plt.Axes, title: str, names: list[str], bars: Bars) -> None:
    width = 0.8 / len(bars)
    for i, (label, (values, errors)) in enumerate(bars.items()):
        place = np.arange(len(names)) + (i - (len(bars) - 1) / 2) * width
        shown = np.nan_to_num(values)
        colours = {"color": COLOURS[i], "ecolor": "0.2"}
        error = None if errors is None else np.nan_to_num(errors)
        drawn = panel.bar(place, shown, width, yerr=error, capsize=3, label=label, **colours)
        panel.bar_label(drawn, [number(value) for value in values], fontsize=7, padding=2)
    long = max(map(len, names)) > 9
    panel.set_xticks(range(len(names)), names, fontsize=8, **({"rotation": 20, "ha": "right"} if long else {}))
    panel.set_title(title, fontsize=10)
    panel.margins(y=0.15)
    panel.grid(alpha=0.3, axis="y")
    panel.set_axisbelow(True)
    if len(bars) > 1:
        panel.legend(fontsize=7)
