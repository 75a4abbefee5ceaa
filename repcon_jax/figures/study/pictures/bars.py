"""Bars of every network, with 95% intervals: means that have no number of shots, and differences to the baseline.

Where there are too many targets and numbers of shots for panels, heat maps show them instead."""

from matplotlib.figure import Figure

from repcon_jax.figures.numbers import axis_label
from repcon_jax.figures.study.drawing import MOST_PANELS, errors, heights, keep_to_fractions, looks, panels, title
from repcon_jax.figures.study.picture import PICTURES, Picture
from repcon_jax.figures.study.places import (
    Means,
    Results,
    differences_of,
    meaning,
    means_of,
    setting_of,
    settings,
    short_name,
    unit_of,
)


@PICTURES.register("bars")
def bars() -> Picture:
    """One picture a score, unless curves show it."""

    def draw(results: Results) -> dict[str, Figure]:
        figures = {}
        for name, means in means_of(results, 1).items():
            if len({mean["shots"] for mean in means}) == 1 and len(settings(means)) <= MOST_PANELS:
                figures[short_name(results, name)] = draw_bars(results, name, means)
        return figures

    return draw


@PICTURES.register("differences")
def differences() -> Picture:
    """One picture a score."""

    def draw(results: Results) -> dict[str, Figure]:
        what = f"difference to {results['baseline']} in "
        return {
            f"{short_name(results, name)}_difference": draw_bars(results, name, means, what)
            for name, means in differences_of(results).items()
            if len(settings(means)) <= MOST_PANELS
        }

    return draw


def draw_bars(results: Results, name: str, means: Means, what: str = "") -> Figure:
    """Horizontal bars, so that names of any length can be read; a panel a target and number of shots.

    Args:
        results: of the study.
        name: of the score.
        means: of single networks.
        what: is drawn of the score, to be read before its label.
    """
    score, places, look = meaning(results, name), settings(means), looks(results["networks"])
    networks = list(dict.fromkeys(mean["networks"][0] for mean in means))
    figure, axes = panels(len(places), (3.6, 0.32 * len(networks) + 0.9), sharey=True)
    for axis, place in zip(axes, places, strict=True):
        at_place = [mean for mean in means if setting_of(mean) == place]
        y = [networks.index(mean["networks"][0]) for mean in at_place]
        colours = [look[mean["networks"][0]]["color"] for mean in at_place]
        axis.barh(y, heights(at_place, score), 0.7, color=colours, alpha=0.7)
        axis.errorbar(
            heights(at_place, score), y, xerr=errors(at_place, score), fmt="o", color="black", markersize=3, capsize=3
        )
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_title(str(place), fontsize=9)
        axis.set_xlabel(unit_of(score, difference=True) if what else axis_label(score), fontsize=9)
        axis.grid(axis="x", alpha=0.3)
        if not what:
            axis.set_xscale(score.scale)
            keep_to_fractions(axis.set_xlim, axis.get_xlim(), score)
    axes[0].set_yticks(range(len(networks)), networks)
    axes[0].set_ylim(len(networks) - 0.5, -0.5)
    title(figure, results, name, score, what)
    return figure
