"""The pictures of iterative pruning."""

import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

Starts = dict[str, list[dict[str, Any]]]


def write_figures(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws all pictures; see ``repcon_jax.figures.lottery.write_lottery_figures``."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "accuracy": accuracy_figure(results["starts"], results["measured_on"]),
        "layers": layers_figure(results["starts"]),
        "training": training_figure(results["starts"]),
    }
    written = []
    for name, figure in figures.items():
        figure.suptitle(results["title"], fontsize=10)
        figure.savefig(folder / f"{name}.png", dpi=120)
        plt.close(figure)
        written.append(folder / f"{name}.png")
    return written


def accuracy_figure(starts: Starts, measured_on: str) -> plt.Figure:
    """Accuracy against weights remaining, a line a start, with bands over seeds."""
    figure, axis = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for name, rounds in starts.items():
        x = [100 * entry["density"][0] for entry in rounds]
        mean = np.array([100 * entry["accuracy"]["mean"] for entry in rounds])
        std = np.array([100 * (entry["accuracy"]["std"] or 0.0) for entry in rounds])
        (line,) = axis.plot(x, mean, marker="o", markersize=3, label=name)
        axis.fill_between(x, mean - std, mean + std, alpha=0.2, color=line.get_color(), linewidth=0)
    _remaining(axis, [100 * entry["density"][0] for entry in next(iter(starts.values()))])
    axis.set(ylabel=f"{measured_on} accuracy (%)")
    axis.grid(alpha=0.3)
    axis.legend(title="rewound to", fontsize=8, title_fontsize=8)
    return figure


def layers_figure(starts: Starts) -> plt.Figure:
    """Density of every pruned layer against weights remaining, a panel a start."""
    figure, axes = _panels(starts)
    for axis, (name, rounds) in zip(axes, starts.items(), strict=True):
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


def training_figure(starts: Starts) -> plt.Figure:
    """Training accuracy against the step, a panel a start, a line a round."""
    figure, axes = _panels(starts)
    for axis, (name, rounds) in zip(axes, starts.items(), strict=True):
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


def _panels(starts: Starts) -> tuple[plt.Figure, np.ndarray]:
    width = 3.2 * len(starts) + 2.2
    figure, axes = plt.subplots(1, len(starts), figsize=(width, 3.6), sharey=True, squeeze=False, layout="constrained")
    return figure, axes[0]


def _remaining(axis: plt.Axes, x: list[float]) -> None:
    """A logarithmic axis of weights remaining, from all to few."""
    axis.set_xscale("log")
    chosen = x[:: max(1, len(x) // 5)]
    axis.set_xticks(chosen, [f"{value:.3g}" for value in chosen])
    axis.minorticks_off()
    axis.invert_xaxis()
    axis.set(xlabel="weights remaining (%)")
