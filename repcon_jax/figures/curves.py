"""Curves of a run against the epoch: probing accuracy, the objective's metrics, distances; bands over seeds."""

import pathlib
from collections.abc import Iterable
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from repcon_jax.metrics_log import read_metrics

Rows = list[dict[str, Any]]
Series = tuple[np.ndarray, np.ndarray, np.ndarray]

_COLOURS = {"input": "0.45", "teacher": "tab:orange", "student": "tab:blue", "encoder": "tab:blue"}
_METRIC_TITLES = {"kl": "KL of student from teacher (nats)"}
_PROBE_TITLES = {"linear": "linear probe (paper)", "linear_tuned": "linear probe (converged)", "knn": "k-NN probe"}


def write_figures(workdir: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws every curve that the run has numbers for into ``figures/*.png``.

    Args:
        workdir: with ``metrics.jsonl``.
        results: of the run; its final probe scores are marked where the test set was used once, at the end.
    Returns:
        Paths of the pictures.
    """
    rows = read_metrics(workdir)
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    written = []
    for name, figure in (
        ("probing", probing_figure([r for r in rows if r["kind"] == "probe"], results["probe"])),
        ("objective", train_figure(rows, ("kl", "loss", "accuracy"), {"kl": "log"})),
        ("distance", train_figure(rows, _distances(rows), {})),
    ):
        if figure is not None:
            figure.savefig(folder / f"{name}.png", dpi=120)
            plt.close(figure)
            written.append(folder / f"{name}.png")
    return written


def probing_figure(rows: Rows, final: dict[str, dict[str, dict[str, Any]]]) -> plt.Figure | None:
    """Accuracy of every encoder against the epoch, one panel a probe; None without periodic probes."""
    if not rows:
        return None
    probes = list(next(iter(final.values())))
    figure, axes = plt.subplots(1, len(probes), figsize=(4.2 * len(probes), 3.6), squeeze=False, layout="constrained")
    for axis, probe in zip(axes[0], probes, strict=True):
        for encoder in final:
            epochs, mean, std = band(rows, f"{encoder}/{probe}")
            colour = _COLOURS.get(encoder)
            axis.plot(epochs, 100 * mean, color=colour, label=encoder)
            axis.fill_between(epochs, 100 * (mean - std), 100 * (mean + std), color=colour, alpha=0.2, linewidth=0)
            score = final[encoder][probe]
            spread = 100 * (score["std"] or 0.0)
            axis.errorbar([epochs[-1]], [100 * score["mean"]], yerr=[spread], fmt="o", color=colour, capsize=3)
        axis.set(title=_PROBE_TITLES.get(probe, probe), xlabel="epoch", ylabel="accuracy (%)")
        axis.grid(alpha=0.3)
    handles, labels = axes[0][0].get_legend_handles_labels()
    legend = {"title": "line: periodic\ndot: final, test", "fontsize": 8, "title_fontsize": 8}
    figure.legend(handles, labels, loc="outside right upper", **legend)
    return figure


def train_figure(rows: Rows, names: Iterable[str], scales: dict[str, str]) -> plt.Figure | None:
    """Logged metrics against the epoch, one panel each; None where no row has any of them.

    Args:
        rows: of ``metrics.jsonl``.
        names: metrics to draw, those that were not logged are left out.
        scales: scale of the vertical axis where it is not linear.
    """
    rows = [r for r in rows if r["kind"] == "train"]
    names = [name for name in names if any(name in r for r in rows)]
    if not names:
        return None
    figure, axes = plt.subplots(1, len(names), figsize=(4.2 * len(names), 3.4), squeeze=False, layout="constrained")
    for axis, name in zip(axes[0], names, strict=True):
        epochs, mean, std = band([r for r in rows if name in r], name)
        axis.plot(epochs, mean)
        axis.fill_between(epochs, mean - std, mean + std, alpha=0.2, linewidth=0)
        axis.set(title=_METRIC_TITLES.get(name, name.replace("_", " ")), xlabel="epoch")
        axis.set_yscale(scales.get(name, "linear"))
        axis.grid(alpha=0.3)
    return figure


def band(rows: Rows, name: str) -> Series:
    """Epochs, mean and standard deviation over seeds (0 for one seed) of a metric, at the epochs all seeds reached."""
    by_seed: dict[int, dict[float, float]] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], {})[row["epoch"]] = row[name]
    epochs = sorted(set.intersection(*(set(values) for values in by_seed.values())))
    table = np.array([[values[epoch] for epoch in epochs] for values in by_seed.values()])
    std = table.std(axis=0, ddof=1) if len(table) > 1 else np.zeros(len(epochs))
    return np.array(epochs), table.mean(axis=0), std


def _distances(rows: Rows) -> list[str]:
    return sorted({name for row in rows if row["kind"] == "train" for name in row if "_distance_" in name})
