"""Heat maps of networks by targets: means, and differences to the baseline."""

import itertools

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from repcon_jax.figures.landscapes.scales import HIGH_IS_GOOD, LOW_IS_GOOD, NEUTRAL
from repcon_jax.figures.numbers import factor
from repcon_jax.figures.study.drawing import panels, title, write_numbers
from repcon_jax.figures.study.picture import PICTURES, Picture
from repcon_jax.figures.study.places import Means, Results, differences_of, meaning, means_of, short_name, unit_of

# Fewer targets can be read from bars and curves.
_FEWEST_TARGETS = 4


@PICTURES.register("heat_maps")
def heat_maps() -> Picture:
    """One picture a score and one of its differences to the baseline, where there are several targets."""

    def draw(results: Results) -> dict[str, Figure]:
        figures = {}
        for name, means in means_of(results, 1).items():
            if _targets(results, means):
                figures[f"{short_name(results, name)}_targets"] = draw_heat_map(results, name, means)
        for name, means in differences_of(results).items():
            if _targets(results, means):
                what = f"difference to {results['baseline']} in "
                figures[f"{short_name(results, name)}_difference_targets"] = draw_heat_map(results, name, means, what)
        return figures

    return draw


def draw_heat_map(results: Results, name: str, means: Means, what: str = "") -> Figure:
    """Networks down, targets and their groups across; a panel a number of shots.

    Args:
        results: of the study.
        name: of the score.
        means: of single networks.
        what: is drawn of the score, to be read before its label; then white is no difference.
    """
    score, targets = meaning(results, name), _targets(results, means)
    networks = list(dict.fromkeys(mean["networks"][0] for mean in means))
    shots = list(dict.fromkeys(mean["shots"] for mean in means))
    figure, axes = panels(len(shots), (0.62 * len(targets) + 1.4, 0.4 * len(networks) + 1.2), sharey=True)
    tables = [_table(networks, targets, [m for m in means if m["shots"] == k], factor(score)) for k in shots]
    shown = np.concatenate([table[np.isfinite(table)] for table in tables])
    low, high = (shown.min(), shown.max()) if shown.size else (0.0, 1.0)
    colours = {None: NEUTRAL, True: HIGH_IS_GOOD, False: LOW_IS_GOOD}[score.higher_is_better]
    look = {"cmap": colours, "vmin": low, "vmax": high}
    if what:
        far = max(abs(low), abs(high)) or 1.0
        look = {"cmap": "RdBu" if score.higher_is_better else "RdBu_r", "norm": TwoSlopeNorm(0, -far, far)}
    for axis, number, table in zip(axes, shots, tables, strict=True):
        image = axis.imshow(table, aspect="auto", **look)
        write_numbers(axis, image, table, itertools.product(*map(range, table.shape)))
        axis.set_xticks(range(len(targets)), targets, rotation=40, ha="right", fontsize=8)
        axis.set_yticks(range(len(networks)), networks, fontsize=8)
        axis.set_title("all training examples" if number is None else f"{number} shots", fontsize=9)
        # A line between targets and their groups.
        axis.axvline(sum(target in results["targets"] for target in targets) - 0.5, color="black", linewidth=1.5)
    figure.colorbar(image, ax=axes, label=unit_of(score, difference=bool(what)), shrink=0.8)
    title(figure, results, name, score, what)
    return figure


def _targets(results: Results, means: Means) -> list[str]:
    """Targets and groups of a score in order; none where there are too few."""
    measured = {mean["target"] for mean in means}
    targets = [target for target in (*results["targets"], *results.get("groups", {})) if target in measured]
    return targets if len(targets) >= _FEWEST_TARGETS else []


def _table(networks: list[str], targets: list[str], means: Means, times: float) -> np.ndarray:
    """[networks, targets]; NaN for what was not measured or is not finite."""
    table = np.full((len(networks), len(targets)), np.nan)
    for mean in means:
        if mean["mean"] is not None:
            table[networks.index(mean["networks"][0]), targets.index(mean["target"])] = times * mean["mean"]
    return table
