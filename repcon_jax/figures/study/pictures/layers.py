"""Curves of every network over its layers, with 95% intervals."""

from matplotlib.figure import Figure

from repcon_jax.figures.numbers import axis_label
from repcon_jax.figures.study.drawing import (
    MOST_PANELS,
    errors,
    heights,
    keep_to_fractions,
    legend,
    looks,
    panels,
    title,
)
from repcon_jax.figures.study.picture import PICTURES, Picture
from repcon_jax.figures.study.places import Means, Results, meaning, means_of, setting_of, settings, short_name

_EMBEDDING = "embedding"


@PICTURES.register("layers")
def layers() -> Picture:
    """One picture a score that was measured in several layers."""

    def draw(results: Results) -> dict[str, Figure]:
        by_score: dict[str, Means] = {}
        for name, means in means_of(results, 1).items():
            by_score.setdefault(name.partition("@")[0], []).extend(means)
        return {
            f"{short_name(results, name)}_by_layer": draw_layers(results, name, means)
            for name, means in by_score.items()
            if len({mean.get("layer") for mean in means}) > 1 and len(settings(means)) <= MOST_PANELS
        }

    return draw


def draw_layers(results: Results, name: str, means: Means) -> Figure:
    """Layers across, in the order in which the study names them; a panel a target and number of shots.

    Args:
        results: of the study.
        name: of the score.
        means: of single networks, in all layers.
    """
    score, look, places = meaning(results, name), looks(results["networks"]), settings(means)
    networks = list(dict.fromkeys(mean["networks"][0] for mean in means))
    figure, axes = panels(len(places), (4.0, 3.2))
    for axis, place in zip(axes, places, strict=True):
        for network in networks:
            chosen = {
                mean.get("layer") or _EMBEDDING: mean
                for mean in means
                if mean["networks"] == [network] and setting_of(mean) == place
            }
            at = [number for number, layer in enumerate(results["layers"]) if layer in chosen]
            own = [chosen[results["layers"][number]] for number in at]
            y, error = heights(own, score), errors(own, score)
            axis.errorbar(at, y, yerr=error, **look[network], markersize=4, linewidth=1.2, capsize=2, label=network)
        axis.set_xticks(range(len(results["layers"])), results["layers"], rotation=40, ha="right", fontsize=8)
        axis.set_title(str(place), fontsize=9)
        axis.set_ylabel(axis_label(score), fontsize=9)
        axis.grid(alpha=0.3)
        axis.set_yscale(score.scale)
        keep_to_fractions(axis.set_ylim, axis.get_ylim(), score)
    legend(figure, axes)
    title(figure, results, name, score)
    return figure
