"""One score against another, a point a network, with their rank correlation."""

from typing import Any

from matplotlib.figure import Figure

from repcon_jax.figures.numbers import axis_label, factor
from repcon_jax.figures.study.drawing import legend, looks, panels
from repcon_jax.figures.study.picture import PICTURES, Picture
from repcon_jax.figures.study.places import Results, meaning, setting_of, short_name


@PICTURES.register("scatter")
def scatter() -> Picture:
    """One picture for every two scores that the study compares."""

    def draw(results: Results) -> dict[str, Figure]:
        drawn = [compared for compared in results["compared"] if compared["targets"]]
        return {_title(results, compared): draw_scatter(results, compared) for compared in drawn}

    return draw


def draw_scatter(results: Results, compared: dict[str, Any]) -> Figure:
    """Points of all networks; a panel a target and number of shots.

    Args:
        results: of the study.
        compared: an entry of its ``"compared"``.
    """
    places, look = compared["targets"], looks(results["networks"])
    scores = [meaning(results, name) for name in compared["scores"]]
    figure, axes = panels(len(places), (3.6, 3.2))
    for axis, place in zip(axes, places, strict=True):
        for point in place["points"]:
            at = [factor(score) * point[name] for score, name in zip(scores, "xy", strict=True)]
            axis.plot(*at, linestyle="", **look[point["network"]], label=point["network"])
        tau = place["kendall_tau"]
        words = [str(setting_of(place)), "no rank correlation" if tau is None else f"Kendall's tau {tau:.2f}"]
        axis.set_title(": ".join(filter(None, words)), fontsize=9)
        axis.set_xlabel(axis_label(scores[0]), fontsize=9)
        axis.set_ylabel(axis_label(scores[1]), fontsize=9)
        for scale, score in ((axis.set_xscale, scores[0]), (axis.set_yscale, scores[1])):
            scale(score.scale)
        axis.margins(0.1)
        axis.grid(alpha=0.3)
    legend(figure, axes)
    figure.suptitle(_title(results, compared), fontsize=10)
    return figure


def _title(results: Results, compared: dict[str, Any]) -> str:
    return " against ".join(short_name(results, name) for name in compared["scores"][::-1])
