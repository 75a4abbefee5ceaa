"""Pictures of a population: final scores against what its members differ in, and curves of every point."""

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from repcon_jax.figures.style import COLOURS, METRIC_TITLES, PROBE_TITLES, Rows, band, describe_point

Points = list[dict[str, Any]]


def population_figure(points: Points) -> plt.Figure | None:
    """Final probe accuracy of every encoder against the axis with most values, one panel a probe.

    Points that differ in a further axis are further lines; points of which no member is left are gaps.
    """
    points = [point for point in points if point["probe"]]
    if not points:
        return None
    axes = {axis: list(dict.fromkeys(p["values"][axis] for p in points)) for axis in points[0]["values"]}
    main = max(axes, key=lambda axis: len(axes[axis]))
    first = points[0]["probe"]
    probes = list(next(iter(first.values())))
    figure, panels = plt.subplots(1, len(probes), figsize=(4.4 * len(probes), 3.6), squeeze=False, layout="constrained")
    for panel, probe in zip(panels[0], probes, strict=True):
        for encoder in first:
            _draw_lines(panel, points, main, encoder, probe)
        _set_axis(panel, axes[main])
        panel.set(
            title=PROBE_TITLES.get(probe, probe), xlabel=describe_point({main: ""}).strip(), ylabel="accuracy (%)"
        )
        panel.grid(alpha=0.3)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


def _draw_lines(panel: plt.Axes, points: Points, main: str, encoder: str, probe: str) -> None:
    rests = list(dict.fromkeys(_rest(point, main) for point in points))
    values = list(dict.fromkeys(point["values"][main] for point in points))
    for i, rest in enumerate(rests):
        chosen = [point for point in points if _rest(point, main) == rest]
        scores = [point["probe"][encoder][probe] for point in chosen]
        x = [_position(point["values"][main], values) for point in chosen]
        label = f"{encoder}, {describe_point(dict(rest))}" if rest else encoder
        panel.errorbar(
            x,
            [100 * score["mean"] for score in scores],
            yerr=[100 * (score["std"] or 0.0) for score in scores],
            color=COLOURS.get(encoder),
            alpha=1.0 - 0.7 * i / len(rests),
            marker="o",
            markersize=4,
            capsize=3,
            label=label,
        )


def _rest(point: dict[str, Any], main: str) -> tuple[tuple[str, Any], ...]:
    return tuple((axis, value) for axis, value in point["values"].items() if axis != main)


def _position(value: float | str, values: list[float | str]) -> float:
    """Numbers stand at their value, texts one after the other."""
    return values.index(value) if any(isinstance(v, str) for v in values) else float(value)


def _set_axis(panel: plt.Axes, values: list[float | str]) -> None:
    if any(isinstance(value, str) for value in values):
        panel.set_xticks(range(len(values)), [str(value) for value in values], rotation=20, ha="right", fontsize=7)
    elif min(values) > 0 and max(values) / min(values) > 50:
        panel.set_xscale("log")


def point_figure(
    rows: Rows, kind: str, points: list[dict[str, Any]], names: Iterable[str], scales: Mapping[str, str] | None = None
) -> plt.Figure | None:
    """Logged numbers against the epoch, one panel a number and one line (mean and spread over seeds) a point.

    Args:
        rows: of ``metrics.jsonl``.
        kind: of the rows to take.
        points: values of every point.
        names: numbers to draw; those that were not logged are left out.
        scales: scale of the vertical axis where it is not linear.
    """
    rows = [row for row in rows if row["kind"] == kind]
    names = [name for name in names if any(name in row for row in rows)]
    if not names:
        return None
    figure, panels = plt.subplots(1, len(names), figsize=(4.2 * len(names), 3.6), squeeze=False, layout="constrained")
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(points))) if len(points) > 1 else ["tab:blue"]
    for panel, name in zip(panels[0], names, strict=True):
        for colour, point in zip(colours, points, strict=True):
            mine = [row for row in rows if name in row and point.items() <= row.items()]
            if mine:
                epochs, mean, std = band(mine, name)
                panel.plot(epochs, mean, color=colour, label=describe_point(point))
                panel.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        panel.set(title=METRIC_TITLES.get(name, name.replace("_", " ")), xlabel="epoch")
        panel.set_yscale((scales or {}).get(name, "linear"))
        panel.grid(alpha=0.3)
    if len(points) > 1:
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    return figure
