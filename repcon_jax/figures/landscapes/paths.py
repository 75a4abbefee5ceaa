"""Values along paths between networks, and the barriers on them, by group of pairs."""

import pathlib
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from repcon_jax.figures.landscapes.drawing import panel_grid, save, set_title
from repcon_jax.figures.landscapes.scales import COLOURS, numbers, scale_of, spread_widely
from repcon_jax.figures.landscapes.words import mean_and_spread

_SIZE = (4.2, 3.6)


def write_paths(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws ``paths.png`` and ``barriers.png``.

    Args:
        folder: for the pictures.
        results: of kind ``paths``.
    Returns:
        Paths of the pictures.
    """
    if not metrics_of(results):
        return []
    return [
        save(paths_figure(results), folder / "paths.png"),
        save(barriers_figure(results), folder / "barriers.png"),
    ]


def metrics_of(results: dict[str, Any]) -> list[str]:
    """Every metric that some pair has values of, in order."""
    pairs = [pair for group in results["groups"].values() for pair in group["pairs"]]
    return list(dict.fromkeys(metric for pair in pairs for metric in pair["values"]))


def paths_figure(results: dict[str, Any]) -> plt.Figure:
    """Values against the place on the path, one panel a metric: pairs thin, the mean and spread of a group thick.

    Args:
        results: of kind ``paths``.
    """
    metrics = metrics_of(results)
    figure, panels = panel_grid(len(metrics), _SIZE, most=4)
    for panel, metric in zip(panels, metrics, strict=True):
        scale = scale_of(results, metric)
        for i, (name, group) in enumerate(results["groups"].items()):
            rows = [numbers(p["values"][metric], scale.factor) for p in group["pairs"] if metric in p["values"]]
            if rows:
                label = f"{name}: {mean_and_spread(group['instability'].get(metric, {}), scale)}"
                _draw_group(panel, results["t"], np.ma.masked_invalid(rows), COLOURS[i % len(COLOURS)], label)
        panel.set_title(scale.label, fontsize=10)
        panel.set_xlabel(f"place on the {results['path']} path", fontsize=9)
        panel.grid(alpha=0.3)
        legend = {"title": "barrier over the mean of the ends", "fontsize": 8, "title_fontsize": 8, "frameon": False}
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), **legend)
    set_title(figure, results)
    return figure


def _draw_group(panel: plt.Axes, t: list[float], rows: np.ma.MaskedArray, colour: str, label: str) -> None:
    mean = rows.mean(axis=0)
    for row in rows:
        panel.plot(t, row, color=colour, linewidth=0.6, alpha=0.5)
    panel.plot(t, mean, color=colour, linewidth=2.2, label=label)
    if len(rows) > 1:
        std = rows.std(axis=0, ddof=1)
        panel.fill_between(t, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)


def barriers_figure(results: dict[str, Any]) -> plt.Figure:
    """The barrier over the mean of the ends, one panel a metric: a dot for every pair, mean and spread beside them.

    Args:
        results: of kind ``paths``.
    """
    metrics = metrics_of(results)
    groups = results["groups"]
    width = 0.9 + max(0.7, 0.075 * max(map(len, groups))) * len(groups)
    figure, panels = panel_grid(len(metrics), (width, _SIZE[1]))
    for panel, metric in zip(panels, metrics, strict=True):
        scale = scale_of(results, metric)
        drawn = [_draw_barriers(panel, i, group, metric, scale.factor) for i, group in enumerate(groups.values())]
        if spread_widely([value for values in drawn for value in values]):
            panel.set_yscale("log")
            panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter("{x:g}")
            panel.yaxis.set_minor_formatter(ticker.NullFormatter())
        else:
            panel.axhline(0, color="0.5", linewidth=0.8)
        panel.set_xticks(range(len(groups)), list(groups), fontsize=8)
        panel.set_xlim(-0.6, len(groups) - 0.4)
        panel.set_title(scale.label, fontsize=10)
        panel.grid(alpha=0.3, axis="y")
    figure.supylabel("barrier over the mean of the ends", fontsize=9)
    set_title(figure, results)
    return figure


def _draw_barriers(panel: plt.Axes, place: int, group: dict[str, Any], metric: str, factor: float) -> np.ndarray:
    values = numbers([pair["barrier"].get(metric, {}).get("over_mean") for pair in group["pairs"]], factor)
    colour = COLOURS[place % len(COLOURS)]
    # Side by side in the order of pairs, since chance would draw another picture every time.
    beside = np.linspace(-0.22, 0.06, len(values)) if len(values) > 1 else np.array([-0.08])
    panel.plot(place + beside, values, "o", color=colour, markersize=4, alpha=0.6, markeredgewidth=0)
    summary = group["instability"].get(metric, {})
    mean, std = numbers([summary.get("mean"), summary.get("std") or 0.0], factor)
    panel.errorbar([place + 0.2], [mean], yerr=[std], fmt="D", color=colour, markersize=6, capsize=4)
    return values
