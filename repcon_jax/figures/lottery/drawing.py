"""The pictures of iterative pruning."""

import pathlib
from collections.abc import Callable, Collection
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator

Chains = dict[str, list[dict[str, Any]]]
Entries = list[dict[str, Any]]
# More would cover the lines.
_MOST_LEGENDS_INSIDE = 6


def write_figures(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws all pictures; see ``repcon_jax.figures.lottery.write_lottery_figures``."""
    folder.mkdir(parents=True, exist_ok=True)
    chains = {results["labels"][name]: rounds for name, rounds in results["chains"].items()}
    figures = {
        "accuracy": accuracy_figure(chains, results["measured_on"]),
        "layers": layers_figure(chains),
        "training": training_figure(chains),
        **_study_figures(results),
    }
    written = []
    for name, figure in figures.items():
        figure.suptitle(results["title"], fontsize=10)
        figure.savefig(folder / f"{name}.png", dpi=120)
        plt.close(figure)
        written.append(folder / f"{name}.png")
    return written


def accuracy_figure(chains: Chains, measured_on: str) -> plt.Figure:
    """Accuracy against weights remaining, a line a chain, with bands over seeds."""
    beside = len(chains) > _MOST_LEGENDS_INSIDE
    figure, axis = plt.subplots(figsize=(8.6 if beside else 6.4, 4.2), layout="constrained")
    for name, rounds in chains.items():
        _band(axis, rounds, [entry["accuracy"] for entry in rounds], label=name)
    _remaining(axis, [100 * entry["density"][0] for entry in next(iter(chains.values()))])
    axis.set(ylabel=f"{measured_on} accuracy (%)")
    axis.grid(alpha=0.3)
    handles, labels = axis.get_legend_handles_labels()
    (figure if beside else axis).legend(handles, labels, fontsize=8, loc="outside right upper" if beside else "best")
    return figure


def layers_figure(chains: Chains) -> plt.Figure:
    """Density of every pruned layer against weights remaining, a panel a chain."""
    figure, axes = _panels(chains)
    for axis, (name, rounds) in zip(axes, chains.items(), strict=True):
        layers = [layer for layer in rounds[0]["layers"] if any(entry["layers"][layer] < 1 for entry in rounds)]
        colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, max(1, len(layers))))
        x = [100 * entry["density"][0] for entry in rounds]
        for layer, colour in zip(layers, colours, strict=True):
            y = [100 * entry["layers"][layer] for entry in rounds]
            axis.plot(x, y, color=colour, label=layer.removesuffix("/kernel"))
        axis.set_title(name, fontsize=9)
        axis.set_yscale("log", nonpositive="clip")
        for which in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            which(lambda value, _: f"{value:g}" if f"{value:g}"[0] in "125" else "")
        _remaining(axis, x)
    axes[0].set(ylabel="weights remaining in the layer (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=7)
    return figure


def training_figure(chains: Chains) -> plt.Figure:
    """Training accuracy against the step, a panel a chain, a line a round."""
    figure, axes = _panels(chains)
    for axis, (name, rounds) in zip(axes, chains.items(), strict=True):
        colours = plt.get_cmap("viridis_r")(np.linspace(0.05, 1, len(rounds)))
        for entry, colour in zip(rounds, colours, strict=True):
            accuracy = 100 * np.array(entry["curve"]["accuracy"])
            axis.plot(entry["curve"]["step"], accuracy, color=colour, label=f"{100 * entry['density'][0]:.1f}%")
        axis.set(xlabel="step")
        axis.set_title(name, fontsize=9)
        axis.grid(alpha=0.3)
    axes[0].set(ylabel="training accuracy (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=7, title="weights", title_fontsize=7)
    return figure


def controls_figure(results: dict[str, Any], studies: dict[str, Entries]) -> plt.Figure:
    """Accuracy of tickets and of what was trained in their place, a panel a chain."""
    names = list(dict.fromkeys(entry["chain"] for entries in studies.values() for entry in entries))
    figure, axes = _panels(names)
    for axis, name in zip(axes, names, strict=True):
        rounds = results["chains"][name]
        _band(axis, rounds, [entry["accuracy"] for entry in rounds], label="ticket", color="black")
        for number, (text, entries) in enumerate(studies.items()):
            found = [entry for entry in entries if entry["chain"] == name]
            if found:
                _band(axis, found, [entry["accuracy"] for entry in found], label=text, color=f"C{number}")
        axis.set_title(results["labels"][name], fontsize=9)
        axis.grid(alpha=0.3)
        _remaining(axis, [100 * entry["density"][0] for entry in rounds])
    axes[0].set(ylabel=f"{results['measured_on']} accuracy (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=7)
    return figure


def transfer_figure(results: dict[str, Any], studies: dict[str, Entries]) -> plt.Figure:
    """Accuracy of tickets on other data against weights remaining, a panel a data set, a line a chain."""
    figure, axes = _panels(studies)
    for axis, (text, entries) in zip(axes, studies.items(), strict=True):
        _by_chain(axis, results, {text: entries}, lambda entry: entry["accuracy"], 100)
        axis.set_title(text, fontsize=9)
    axes[0].set(ylabel="accuracy on the other data (%)")
    axes[0].legend(fontsize=8)
    return figure


def barrier_figure(results: dict[str, Any], studies: dict[str, Entries]) -> plt.Figure:
    """Height of the barrier between two trainings of a ticket against weights remaining, a line a chain."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    quantities = {"error": ("error barrier (%)", 100), "supervised_loss": ("loss barrier", 1)}
    for axis, (metric, (label, scale)) in zip(axes, quantities.items(), strict=True):
        _by_chain(axis, results, studies, lambda entry, metric=metric: entry[metric]["barrier"], scale)
        axis.set(ylabel=label)
    axes[0].legend(fontsize=8)
    return figure


def agreement_figure(results: dict[str, Any], studies: dict[str, Entries]) -> plt.Figure:
    """How alike masks and signs of two seeds are against weights remaining, a line a chain, by chance dotted."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for axis, names in zip(axes, (("masks", "masks_by_chance"), ("signs_at_end", "signs_at_start")), strict=True):
        for name, style in zip(names, ("-", ":"), strict=True):
            _by_chain(axis, results, studies, lambda entry, name=name: entry[name], 100, style)
    axes[0].set(ylabel="intersection over union of masks (%)", title="masks (dotted: by chance)")
    axes[1].set(ylabel="equal signs where both keep (%)", title="signs at the end (dotted: at the start)")
    axes[0].legend(fontsize=8)
    return figure


_STUDIES = {
    "accuracy": ("controls", controls_figure),
    "transfer": ("transfer", transfer_figure),
    "barrier": ("barriers", barrier_figure),
    "agreement": ("agreement", agreement_figure),
}


def _study_figures(results: dict[str, Any]) -> dict[str, plt.Figure]:
    figures = {}
    for kind, (name, draw) in _STUDIES.items():
        studies = {text: study["entries"] for text, study in results["studies"].items() if study["kind"] == kind}
        if any(studies.values()):
            figures[name] = draw(results, studies)
    return figures


def _by_chain(
    axis: plt.Axes,
    results: dict[str, Any],
    studies: dict[str, Entries],
    score: Callable[[dict[str, Any]], dict[str, Any] | None],
    scale: float,
    style: str = "-",
) -> None:
    every = [entry for entries in studies.values() for entry in entries]
    for number, (name, label) in enumerate(results["labels"].items()):
        found = [entry for entry in every if entry["chain"] == name and score(entry) is not None]
        if found:
            told = label if style == "-" else None
            _band(axis, found, [score(entry) for entry in found], scale, color=f"C{number}", ls=style, label=told)
    axis.grid(alpha=0.3)
    _remaining(axis, sorted({100 * entry["density"][0] for entry in every}, reverse=True))


def _band(axis: plt.Axes, entries: Entries, scores: list[Any], scale: float = 100, **style: Any) -> None:
    """Mean and standard deviation over seeds against weights remaining."""
    x = [100 * entry["density"][0] for entry in entries]
    mean = np.array([scale * score["mean"] for score in scores])
    std = np.array([scale * (score["std"] or 0.0) for score in scores])
    (line,) = axis.plot(x, mean, marker="o", markersize=3, **style)
    axis.fill_between(x, mean - std, mean + std, alpha=0.15, color=line.get_color(), linewidth=0)


def _panels(panels: Collection[str]) -> tuple[plt.Figure, np.ndarray]:
    width = 3.2 * len(panels) + 2.2
    figure, axes = plt.subplots(1, len(panels), figsize=(width, 3.6), sharey=True, squeeze=False, layout="constrained")
    return figure, axes[0]


def _remaining(axis: plt.Axes, x: list[float]) -> None:
    """A logarithmic axis of weights remaining, from all to few."""
    axis.set_xscale("log")
    chosen = x[:: max(1, len(x) // 5)]
    axis.set_xticks(chosen, [f"{value:.3g}" for value in chosen])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_inverted(True)
    axis.set(xlabel="weights remaining (%)")
