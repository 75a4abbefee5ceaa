"""Pictures of a population: final scores against what its members differ in, and curves of every point."""

from collections.abc import Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from repcon_jax.figures.numbers import axis_label, factor
from repcon_jax.figures.style import COLOURS, Rows, band, describe_point
from repcon_jax.records.scores import Score

Points = list[dict[str, Any]]


def population_figure(points: Points, probes: Mapping[str, Score]) -> plt.Figure | None:
    """The final probe of every encoder against the axis with most values, one panel a probe.

    Points that differ in a further axis are further lines; points of which no member is left are gaps.

    Args:
        points: results at each.
        probes: what each probe's value means.
    """
    points = [point for point in points if point["probe"]]
    if not points:
        return None
    axes = {axis: list(dict.fromkeys(p["values"][axis] for p in points)) for axis in points[0]["values"]}
    main = max(axes, key=lambda axis: len(axes[axis]))
    first = points[0]["probe"]
    figure, panels = plt.subplots(1, len(probes), figsize=(4.4 * len(probes), 3.6), squeeze=False, layout="constrained")
    for panel, (probe, score) in zip(panels[0], probes.items(), strict=True):
        for encoder in first:
            _draw_lines(panel, points, main, encoder, probe, factor(score))
        _set_axis(panel, axes[main])
        panel.set(title=probe, xlabel=describe_point({main: ""}).strip(), ylabel=axis_label(score), yscale=score.scale)
        panel.grid(alpha=0.3)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


def _draw_lines(panel: plt.Axes, points: Points, main: str, encoder: str, probe: str, times: float) -> None:
    rests = list(dict.fromkeys(_rest(point, main) for point in points))
    values = list(dict.fromkeys(point["values"][main] for point in points))
    for i, rest in enumerate(rests):
        chosen = [point for point in points if _rest(point, main) == rest]
        spreads = [point["probe"][encoder][probe] for point in chosen]
        x = [_position(point["values"][main], values) for point in chosen]
        label = f"{encoder}, {describe_point(dict(rest))}" if rest else encoder
        panel.errorbar(
            x,
            [times * spread["mean"] for spread in spreads],
            yerr=[times * (spread["std"] or 0.0) for spread in spreads],
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


def point_figure(rows: Rows, kind: str, points: list[dict[str, Any]], scores: Mapping[str, Score]) -> plt.Figure | None:
    """Logged numbers against the epoch, one panel a number and one line (mean and spread over seeds) a point.

    Args:
        rows: of ``metrics.jsonl``.
        kind: of the rows to take.
        points: values of every point.
        scores: numbers to draw, and what they mean; those that were not logged are left out.
    """
    rows = [row for row in rows if row["kind"] == kind]
    scores = {name: score for name, score in scores.items() if any(name in row for row in rows)}
    if not scores:
        return None
    figure, panels = plt.subplots(1, len(scores), figsize=(4.2 * len(scores), 3.6), squeeze=False, layout="constrained")
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(points))) if len(points) > 1 else ["tab:blue"]
    for panel, (name, score) in zip(panels[0], scores.items(), strict=True):
        for colour, point in zip(colours, points, strict=True):
            mine = [row for row in rows if name in row and point.items() <= row.items()]
            if mine:
                epochs, mean, std = band(mine, name, factor(score))
                single = "o" if len(epochs) == 1 else None  # a line of one point is not seen
                panel.plot(epochs, mean, color=colour, marker=single, label=describe_point(point))
                panel.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        panel.set(title=axis_label(score), xlabel="epoch", yscale=score.scale)
        panel.grid(alpha=0.3)
    if len(points) > 1:
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    return figure
