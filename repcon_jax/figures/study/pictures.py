"""The pictures of a study: bars, curves against shots, heat maps of pairs, one score against another."""

import pathlib
import re
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repcon_jax.figures.study.places import Means, meaning, of_kind, setting_title, settings, shown, unit_of
from repcon_jax.records.scores import Score


def write_study_figures(folder: pathlib.Path, results: dict[str, Any]) -> None:
    """Draws every score that was measured, one file each.

    Args:
        folder: where to; created if need be.
        results: of a study.
    """
    folder.mkdir(exist_ok=True)
    for name, means in of_kind(results, 1).items():
        score = meaning(results, name)
        against_shots = len({mean["shots"] for mean in means}) > 1
        draw_curves(means, score, folder / f"{_file(name)}.png") if against_shots else draw_bars(
            means, score, folder / f"{_file(name)}.png"
        )
    for name, means in of_kind(results, 2).items():
        draw_pairs(results["networks"], means, meaning(results, name), folder / f"{_file(name)}.png")
    for compared in results["compared"]:
        draw_compared(compared, [meaning(results, n) for n in compared["scores"]], folder / _name(compared["scores"]))


def draw_bars(means: Means, score: Score, path: pathlib.Path) -> None:
    """Bars of every network at every target, with 95% intervals."""
    networks, places = list(dict.fromkeys(mean["networks"][0] for mean in means)), settings(means)
    figure = Figure(figsize=(max(4.0, 0.55 * len(networks) * len(places) + 2), 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(networks)
    for i, network in enumerate(networks):
        of_network = {(m["target"], m["shots"]): m for m in means if m["networks"][0] == network}
        found = [(x, of_network[place]) for x, place in enumerate(places) if place in of_network]
        x = [at + (i - (len(networks) - 1) / 2) * width for at, _ in found]
        heights = [shown(mean["mean"], score) for _, mean in found]
        axes.bar(x, heights, width, yerr=_errors([mean for _, mean in found], score), capsize=3, label=network)
    axes.set_xticks(range(len(places)), [setting_title(*place) for place in places])
    _finish(figure, axes, score, path)


def draw_curves(means: Means, score: Score, path: pathlib.Path) -> None:
    """Curves of every network against the number of examples of each class, one panel a target."""
    targets = list(dict.fromkeys(mean["target"] for mean in means))
    figure = Figure(figsize=(4.2 * len(targets), 3.6), layout="constrained")
    panels = figure.subplots(1, len(targets), squeeze=False, sharey=True)[0]
    for axes, target in zip(panels, targets, strict=True):
        for network in dict.fromkeys(mean["networks"][0] for mean in means):
            chosen = [m for m in means if m["networks"][0] == network and m["target"] == target]
            shots, heights = [m["shots"] for m in chosen], [shown(m["mean"], score) for m in chosen]
            axes.errorbar(shots, heights, yerr=_errors(chosen, score), marker="o", capsize=3, label=network)
        axes.set_xscale("log")
        axes.set_xticks(sorted({m["shots"] for m in means}), [str(s) for s in sorted({m["shots"] for m in means})])
        axes.minorticks_off()
        axes.set_xlabel("training examples of each class")
        axes.set_title(target)
    _finish(figure, panels[0], score, path)


def draw_pairs(networks: list[str], means: Means, score: Score, path: pathlib.Path) -> None:
    """A heat map of all pairs of networks, one panel a target."""
    places = settings(means)
    figure = Figure(
        figsize=((0.7 * len(networks) + 2.4) * len(places), 0.7 * len(networks) + 1.6), layout="constrained"
    )
    panels = figure.subplots(1, len(places), squeeze=False)[0]
    for axes, place in zip(panels, places, strict=True):
        table = np.full((len(networks), len(networks)), np.nan)
        for mean in means:
            if (mean["target"], mean["shots"]) == place:
                i, j = (networks.index(name) for name in mean["networks"])
                table[i, j] = table[j, i] = shown(mean["mean"], score)
        image = axes.imshow(table, cmap="viridis")
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value):
                low, high = np.nanmin(table), np.nanmax(table)
                dark = value < (low + high) / 2
                axes.text(
                    j, i, f"{value:.3g}", ha="center", va="center", color="white" if dark else "black", fontsize=8
                )
        axes.set_xticks(range(len(networks)), networks, rotation=45, ha="right")
        axes.set_yticks(range(len(networks)), networks)
        axes.set_title(setting_title(*place))
        figure.colorbar(image, ax=axes, label=f"{score.label}{unit_of(score)}", shrink=0.8)
    figure.savefig(path, dpi=150)


def draw_compared(compared: dict[str, Any], scores: list[Score], path: pathlib.Path) -> None:
    """One score against another, a point a network, with their rank correlation; one panel a target."""
    places = compared["targets"]
    figure = Figure(figsize=(4.2 * max(1, len(places)), 3.8), layout="constrained")
    panels = figure.subplots(1, max(1, len(places)), squeeze=False)[0]
    for axes, place in zip(panels, places, strict=False):
        for point in place["points"]:
            at = shown(point["x"], scores[0]), shown(point["y"], scores[1])
            axes.plot(*at, "o")
            axes.annotate(point["network"], at, xytext=(4, 4), textcoords="offset points", fontsize=8)
        tau = "" if place["kendall_tau"] is None else f", Kendall's tau {place['kendall_tau']:.2f}"
        axes.set_title(setting_title(place["target"], place["shots"]) + tau, fontsize=10)
        axes.set_xlabel(f"{scores[0].label}{unit_of(scores[0])}")
        axes.set_ylabel(f"{scores[1].label}{unit_of(scores[1])}")
        axes.margins(0.2)
    figure.savefig(path, dpi=150)


def _errors(means: Means, score: Score) -> np.ndarray | None:
    """Distances of the means from the ends of their intervals, [2, means]; None where there is none."""
    if any(mean["low"] is None for mean in means):
        return None
    below = [shown(mean["mean"] - mean["low"], score) for mean in means]
    above = [shown(mean["high"] - mean["mean"], score) for mean in means]
    return np.array([below, above])


def _finish(figure: Figure, axes: Axes, score: Score, path: pathlib.Path) -> None:
    axes.set_ylabel(f"{score.label}{unit_of(score)}")
    if score.scale == "log":
        axes.set_yscale("log")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)


def _file(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", name)


def _name(scores: list[str]) -> str:
    return f"{_file(scores[1])}_against_{_file(scores[0])}.png"
