"""Curves of a run against the epoch: probing accuracy, the objective's metrics, distances; bands over seeds."""

import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from repcon_jax.figures.populations import point_figure, population_figure
from repcon_jax.figures.style import COLOURS, PROBE_TITLES, Rows, band
from repcon_jax.records.metrics_log import read_metrics


def write_figures(workdir: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws every curve that the run has numbers for into ``figures/*.png``.

    Args:
        workdir: with ``metrics.jsonl``.
        results: of the run; its final probe scores are marked where the test set was used once, at the end.
    Returns:
        Paths of the pictures.
    """
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    written = []
    for name, figure in _figures(read_metrics(workdir), results).items():
        if figure is not None:
            figure.savefig(folder / f"{name}.png", dpi=120)
            plt.close(figure)
            written.append(folder / f"{name}.png")
    return written


def _figures(rows: Rows, results: dict[str, Any]) -> dict[str, plt.Figure | None]:
    points = [point.get("values", {}) for point in results.get("points", [results])]
    if "points" in results:
        first = {
            "population": population_figure(results["points"]),
            "probing": point_figure(rows, "probe", points, _changing(rows)),
        }
    else:
        first = {"probing": probing_figure([r for r in rows if r["kind"] == "probe"], results["probe"])}
    return {
        **first,
        "objective": point_figure(rows, "train", points, ("kl", "loss", "accuracy"), {"kl": "log"}),
        "distance": point_figure(rows, "train", points, _distances(rows)),
    }


def _changing(rows: Rows) -> list[str]:
    """Names of the periodic probes of encoders that train."""
    names = {name for row in rows if row["kind"] == "probe" for name in row if "/" in name}
    return sorted(name for name in names if not name.startswith(("input/", "teacher/")))


def probing_figure(rows: Rows, final: dict[str, dict[str, dict[str, Any]]]) -> plt.Figure | None:
    """Accuracy of every encoder against the epoch, one panel a probe; None without periodic probes."""
    if not rows:
        return None
    probes = list(next(iter(final.values())))
    figure, axes = plt.subplots(1, len(probes), figsize=(4.2 * len(probes), 3.6), squeeze=False, layout="constrained")
    for axis, probe in zip(axes[0], probes, strict=True):
        for encoder in final:
            epochs, mean, std = band(rows, f"{encoder}/{probe}")
            colour = COLOURS.get(encoder)
            axis.plot(epochs, 100 * mean, color=colour, label=encoder)
            axis.fill_between(epochs, 100 * (mean - std), 100 * (mean + std), color=colour, alpha=0.2, linewidth=0)
            score = final[encoder][probe]
            spread = 100 * (score["std"] or 0.0)
            axis.errorbar([epochs[-1]], [100 * score["mean"]], yerr=[spread], fmt="o", color=colour, capsize=3)
        axis.set(title=PROBE_TITLES.get(probe, probe), xlabel="epoch", ylabel="accuracy (%)")
        axis.grid(alpha=0.3)
    handles, labels = axes[0][0].get_legend_handles_labels()
    legend = {"title": "line: periodic\ndot: final, test", "fontsize": 8, "title_fontsize": 8}
    figure.legend(handles, labels, loc="outside right upper", **legend)
    return figure


def _distances(rows: Rows) -> list[str]:
    return sorted({name for row in rows if row["kind"] == "train" for name in row if "_distance_" in name})
