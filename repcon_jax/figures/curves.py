"""Curves of a run against the epoch: probes, the objective's metrics, distances; bands over seeds."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from repcon_jax.figures.numbers import axis_label, factor, probe_scores, score_of
from repcon_jax.figures.populations import point_figure, population_figure
from repcon_jax.figures.style import COLOURS, Rows, band
from repcon_jax.records.metrics_log import read_metrics
from repcon_jax.records.scores import Score, read_scores


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
    probes = probe_scores(results)
    if "points" in results:
        first = {
            "population": population_figure(results["points"], probes),
            "probing": point_figure(rows, "probe", points, _changing(rows, probes)),
        }
    else:
        own = [row for row in rows if row["kind"] == "probe"]
        first = {"probing": probing_figure(own, results["probe"], probes)}
    return {
        **first,
        "objective": point_figure(rows, "train", points, _objective(results)),
        "distance": point_figure(
            rows, "train", points, {name: score_of(name, results) for name in _distances(results)}
        ),
    }


def _changing(rows: Rows, probes: Mapping[str, Score]) -> dict[str, Score]:
    """The periodic probes, such as ``student/knn``, of encoders that train: those whose values change."""
    curves: dict[str, dict[str, set[float]]] = {}
    for row in rows:
        if row["kind"] == "probe":
            values = {name: value for name, value in row.items() if "/" in name}
            member = str({key: row[key] for key in row if key not in values and key not in ("step", "epoch")})
            for name, value in values.items():
                curves.setdefault(name, {}).setdefault(member, set()).add(value)
    changing = [name for name, members in curves.items() if any(len(values) > 1 for values in members.values())]
    names = sorted(changing or curves)
    scores = {name: probes.get(name.partition("/")[2], Score(name)) for name in names}
    return {name: dataclasses.replace(score, label=f"{name}, {score.label}") for name, score in scores.items()}


def _objective(results: dict[str, Any]) -> dict[str, Score]:
    """What the objective logged and declared, in that order; all that it logged where it declared nothing."""
    logged = list(dict.fromkeys(n for point in results.get("points", [results]) for n in point["train"]))
    declared = [name for name in read_scores(results) if name in logged]
    return {name: score_of(name, results) for name in declared or logged}


def _distances(results: dict[str, Any]) -> list[str]:
    return sorted({name for point in results.get("points", [results]) for name in point["distance"]})


def probing_figure(
    rows: Rows, final: dict[str, dict[str, dict[str, Any]]], probes: Mapping[str, Score]
) -> plt.Figure | None:
    """Every encoder against the epoch, one panel a probe; None without periodic probes.

    Args:
        rows: of the periodic probes.
        final: of every encoder and probe, on the test set.
        probes: what each probe's value means.
    """
    if not rows:
        return None
    figure, axes = plt.subplots(1, len(probes), figsize=(4.2 * len(probes), 3.6), squeeze=False, layout="constrained")
    for axis, (probe, score) in zip(axes[0], probes.items(), strict=True):
        for encoder in final:
            epochs, mean, std = band(rows, f"{encoder}/{probe}", factor(score))
            colour = COLOURS.get(encoder)
            (line,) = axis.plot(epochs, mean, color=colour, label=encoder)
            axis.fill_between(epochs, mean - std, mean + std, color=line.get_color(), alpha=0.2, linewidth=0)
            end = final[encoder][probe]
            spread = factor(score) * (end["std"] or 0.0)
            mean_at_end = factor(score) * end["mean"]
            axis.errorbar([epochs[-1]], [mean_at_end], yerr=[spread], fmt="o", color=line.get_color(), capsize=3)
        axis.set(title=probe, xlabel="epoch", ylabel=axis_label(score), yscale=score.scale)
        axis.grid(alpha=0.3)
    handles, labels = axes[0][0].get_legend_handles_labels()
    legend = {"title": "line: periodic\ndot: final, test", "fontsize": 8, "title_fontsize": 8}
    figure.legend(handles, labels, loc="outside right upper", **legend)
    return figure
