"""Curves of every network against the number of training examples of each class, with 95% intervals."""

from matplotlib.figure import Figure

from repcon_jax.figures.numbers import axis_label
from repcon_jax.figures.study.drawing import errors, heights, keep_to_fractions, legend, looks, panels, title
from repcon_jax.figures.study.picture import PICTURES, Picture
from repcon_jax.figures.study.places import Means, Results, meaning, means_of, short_name

# Beside each other, so that no interval hides another: the factor between two networks' places.
_APART = 1.02


@PICTURES.register("curves")
def curves() -> Picture:
    """One picture a score that was measured for several numbers of shots."""

    def draw(results: Results) -> dict[str, Figure]:
        figures = {}
        for name, means in means_of(results, 1).items():
            if len({mean["shots"] for mean in means}) > 1:
                figures[short_name(results, name)] = draw_curves(results, name, means)
        return figures

    return draw


def draw_curves(results: Results, name: str, means: Means) -> Figure:
    """Curves of single networks; a panel a target.

    Args:
        results: of the study.
        name: of the score.
        means: of single networks.
    """
    score, look = meaning(results, name), looks(results["networks"])
    targets = list(dict.fromkeys(mean["target"] for mean in means))
    numbers = sorted({mean["shots"] for mean in means if mean["shots"] is not None})
    # All examples stand at the right end, apart from the numbers.
    places = {number: number for number in numbers} | {None: numbers[-1] * 4}
    ticks = [*numbers, *([None] if any(mean["shots"] is None for mean in means) else [])]
    networks = list(dict.fromkeys(mean["networks"][0] for mean in means))
    figure, axes = panels(len(targets), (3.8, 3.4), sharex=True)
    for axis, target in zip(axes, targets, strict=True):
        for i, network in enumerate(networks):
            chosen = [mean for mean in means if mean["networks"] == [network] and mean["target"] == target]
            x = [places[mean["shots"]] * _APART ** (i - (len(networks) - 1) / 2) for mean in chosen]
            y, error = heights(chosen, score), errors(chosen, score)
            axis.errorbar(x, y, yerr=error, **look[network], markersize=4, linewidth=1.2, capsize=2, label=network)
        axis.set_xscale("log")
        axis.set_xticks([places[tick] for tick in ticks], ["all" if tick is None else str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.tick_params(labelbottom=True)
        axis.set_title(target, fontsize=9)
        axis.set_xlabel("training examples of each class", fontsize=9)
        axis.set_ylabel(axis_label(score), fontsize=9)
        axis.grid(alpha=0.3)
        axis.set_yscale(score.scale)
        keep_to_fractions(axis.set_ylim, axis.get_ylim(), score)
    legend(figure, axes)
    title(figure, results, name, score)
    return figure
