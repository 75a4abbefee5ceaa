"""The pictures of a benchmark run."""

import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Row = dict[str, Any]
COLOURS = {
    "ours": "tab:blue",
    "ours, teacher computed": "lightsteelblue",
    "PyTorch eager": "tab:orange",
    "PyTorch compile": "tab:red",
}


def write_figures(record: Row, folder: pathlib.Path) -> list[pathlib.Path]:
    """Draws step rates, populations and scaling into ``KIND_*.png``.

    Args:
        record: the JSON of a run.
        folder: where to; created.
    Returns:
        Paths of the pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cases = record["sections"]["steps"]["cases"]
    figures = {"step_rate": step_rate_figure(cases)}
    if populations(cases):
        figures["population"] = population_figure(populations(cases))
    if record["sections"]["scaling"]:
        figures["scaling"] = scaling_figure(record["sections"]["scaling"])
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{record['kind']}_{name}.png")
        figure.savefig(paths[-1], dpi=120)
        plt.close(figure)
    return paths


def step_rate_figure(cases: list[Row]) -> plt.Figure:
    """Images per second of one run, competitors side by side, one panel a case."""
    figure, axes = plt.subplots(
        1, len(cases), figsize=(2.1 * len(cases) + 0.6, 3.6), squeeze=False, layout="constrained"
    )
    for axis, case in zip(axes[0], cases, strict=True):
        rows = [row for row in case["rows"] if row["members"] == 1 and "images_per_second" in row]
        for place, row in enumerate(rows):
            rate = row["images_per_second"]
            axis.bar(place, rate["median"], yerr=_quartiles([rate]), color=COLOURS[row["who"]], capsize=3)
        axis.set_xticks(range(len(rows)), [row["who"].replace(" ", "\n") for row in rows], fontsize=6)
        axis.set_title(f"{case['encoder']}\n{case['batch_size']}, {case['dtype']}", fontsize=9)
        axis.tick_params(axis="y", labelsize=7)
    axes[0][0].set_ylabel("images/s")
    return figure


def populations(cases: list[Row]) -> list[Row]:
    """The cases that were measured for more than one number of members."""
    return [case for case in cases if sum(row["who"] == "ours" for row in case["rows"]) > 1]


def population_figure(cases: list[Row]) -> plt.Figure:
    """Images per second of all members against their number, beside PyTorch's single runs."""
    figure, axes = plt.subplots(1, len(cases), figsize=(3.2 * len(cases), 3.2), squeeze=False, layout="constrained")
    for axis, case in zip(axes[0], cases, strict=True):
        rows = [row for row in case["rows"] if row["who"] == "ours" and "images_per_second" in row]
        _line(axis, [row["members"] for row in rows], [row["images_per_second"] for row in rows])
        for row in case["rows"]:
            if row["who"].startswith("PyTorch") and "images_per_second" in row:
                rate = row["images_per_second"]["median"]
                axis.axhline(rate, color=COLOURS[row["who"]], linestyle="--", label=row["who"])
        axis.set(title=f"{case['encoder']}, {case['batch_size']}, {case['dtype']}", xlabel="members", ylabel="images/s")
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=7)
    return figure


def scaling_figure(kinds: dict[str, list[Row]]) -> plt.Figure:
    """Images per second against devices."""
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
    for axis, (name, rows) in zip(axes, kinds.items(), strict=True):
        rows = [row for row in rows if "images_per_second" in row]
        if rows:
            _line(axis, [row["devices"] for row in rows], [row["images_per_second"] for row in rows])
        axis.set(title=name, xlabel="devices", ylabel="images/s", ylim=(0, None))
    return figure


def _line(axis: plt.Axes, places: list[int], rates: list[Row]) -> None:
    axis.errorbar(
        places,
        [r["median"] for r in rates],
        yerr=_quartiles(rates),
        marker="o",
        capsize=3,
        color=COLOURS["ours"],
        label="ours",
    )
    axis.set_xticks(places)


def _quartiles(spreads: list[Row]) -> list[list[float]]:
    lower = [s["median"] - s["lower_quartile"] for s in spreads]
    upper = [s["upper_quartile"] - s["median"] for s in spreads]
    return [lower, upper]
