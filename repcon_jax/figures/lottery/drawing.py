"""The pictures of iterative pruning, and what the figures of studies are drawn with."""

import pathlib
from collections.abc import Callable, Collection
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator

from repcon_jax.figures.lottery.kind import Entries, Results, Studies, kinds_of, ticket_score
from repcon_jax.figures.numbers import axis_label, factor
from repcon_jax.records.scores import Score

Chains = dict[str, Entries]
# More would cover the lines.
_MOST_LEGENDS_INSIDE = 6


def write_figures(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws all pictures; see ``repcon_jax.figures.lottery.write_lottery_figures``."""
    folder.mkdir(parents=True, exist_ok=True)
    chains = {results["labels"][name]: rounds for name, rounds in results["chains"].items()}
    score = ticket_score(results)
    figures = {
        "accuracy": accuracy_figure(chains, results["measured_on"], score),
        "layers": layers_figure(chains),
        "training": training_figure(chains, score),
        **{kind.picture: kind.draw(results, studies) for kind, studies in kinds_of(results) if kind.draw},
    }
    written = []
    for name, figure in figures.items():
        figure.suptitle(results["title"], fontsize=10)
        figure.savefig(folder / f"{name}.png", dpi=120)
        plt.close(figure)
        written.append(folder / f"{name}.png")
    return written


def accuracy_figure(chains: Chains, measured_on: str, score: Score) -> plt.Figure:
    """Accuracy against weights remaining, a line a chain, with bands over seeds."""
    beside = len(chains) > _MOST_LEGENDS_INSIDE
    figure, axis = plt.subplots(figsize=(8.6 if beside else 6.4, 4.2), layout="constrained")
    for name, rounds in chains.items():
        band(axis, rounds, [entry["accuracy"] for entry in rounds], score, label=name)
    weights_axis(axis, next(iter(chains.values())))
    axis.set(ylabel=f"{measured_on} {axis_label(score)}")
    axis.grid(alpha=0.3)
    handles, labels = axis.get_legend_handles_labels()
    (figure if beside else axis).legend(handles, labels, fontsize=8, loc="outside right upper" if beside else "best")
    return figure


def layers_figure(chains: Chains) -> plt.Figure:
    """Density of every pruned layer against weights remaining, a panel a chain."""
    figure, axes = panels(chains)
    for axis, (name, rounds) in zip(axes, chains.items(), strict=True):
        layers = [layer for layer in rounds[0]["layers"] if any(entry["layers"][layer] < 1 for entry in rounds)]
        colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, max(1, len(layers))))
        x = _weights(rounds)
        for layer, colour in zip(layers, colours, strict=True):
            y = [100 * entry["layers"][layer] for entry in rounds]
            axis.plot(x, y, color=colour, label=layer.removesuffix("/kernel"))
        axis.set_title(name, fontsize=9)
        axis.set_yscale("log", nonpositive="clip")
        for which in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            which(lambda value, _: f"{value:g}" if f"{value:g}"[0] in "125" else "")
        weights_axis(axis, rounds)
    axes[0].set(ylabel="weights remaining in the layer (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=7)
    return figure


def training_figure(chains: Chains, score: Score) -> plt.Figure:
    """Training accuracy against the step, a panel a chain, a line a round."""
    figure, axes = panels(chains)
    for axis, (name, rounds) in zip(axes, chains.items(), strict=True):
        colours = plt.get_cmap("viridis_r")(np.linspace(0.05, 1, len(rounds)))
        for entry, colour in zip(rounds, colours, strict=True):
            values = factor(score) * np.array(entry["curve"]["accuracy"])
            axis.plot(entry["curve"]["step"], values, color=colour, label=f"{_weights([entry])[0]:.1f}%")
        axis.set(xlabel="step")
        axis.set_title(name, fontsize=9)
        axis.grid(alpha=0.3)
    axes[0].set(ylabel=f"training {axis_label(score)}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=7, title="weights", title_fontsize=7)
    return figure


def by_chain(
    axis: plt.Axes,
    results: Results,
    studies: Studies,
    number: Callable[[dict[str, Any]], dict[str, Any] | None],
    score: Score,
    style: str = "-",
) -> None:
    """A number of the studies' entries against weights remaining, a line a chain.

    Args:
        axis: to draw into.
        results: of the lottery.
        studies: the entries of each.
        number: entry -> mean and standard deviation, or None where it has none.
        score: what the number means.
        style: of the lines; only solid ones are named in a legend.
    """
    every = [entry for entries in studies.values() for entry in entries]
    for position, (name, label) in enumerate(results["labels"].items()):
        own = [entry for entry in every if entry["chain"] == name and number(entry) is not None]
        if own:
            named = label if style == "-" else None
            band(axis, own, [number(entry) for entry in own], score, color=f"C{position}", ls=style, label=named)
    axis.grid(alpha=0.3)
    weights_axis(axis, every)


def band(axis: plt.Axes, entries: Entries, spreads: list[Any], score: Score, **style: Any) -> None:
    """Mean and standard deviation over seeds against weights remaining."""
    x = _weights(entries)
    mean = np.array([factor(score) * spread["mean"] for spread in spreads])
    std = np.array([factor(score) * (spread["std"] or 0.0) for spread in spreads])
    (line,) = axis.plot(x, mean, marker="o", markersize=3, **style)
    axis.fill_between(x, mean - std, mean + std, alpha=0.15, color=line.get_color(), linewidth=0)


def panels(names: Collection[str]) -> tuple[plt.Figure, np.ndarray]:
    """A figure with a panel for each name, side by side with one vertical axis."""
    width = 3.2 * len(names) + 2.2
    figure, axes = plt.subplots(1, len(names), figsize=(width, 3.6), sharey=True, squeeze=False, layout="constrained")
    return figure, axes[0]


def weights_axis(axis: plt.Axes, entries: Entries) -> None:
    """A logarithmic axis of weights remaining, from all to few, with marks at some of the entries."""
    x = sorted(set(_weights(entries)), reverse=True)
    axis.set_xscale("log")
    chosen = x[:: max(1, len(x) // 5)]
    axis.set_xticks(chosen, [f"{value:.3g}" for value in chosen])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_inverted(True)
    axis.set(xlabel="weights remaining (%)")


def _weights(entries: Entries) -> list[float]:
    """Weights that remain, of the first seed, in percent."""
    return [100 * entry["density"][0] for entry in entries]
