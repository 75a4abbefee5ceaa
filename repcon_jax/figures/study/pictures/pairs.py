"""Heat maps of what was measured of pairs of networks."""

import numpy as np
from matplotlib.figure import Figure

from repcon_jax.figures.landscapes.scales import HIGH_IS_GOOD, LOW_IS_GOOD, NEUTRAL
from repcon_jax.figures.numbers import factor
from repcon_jax.figures.study.drawing import panels, title, write_numbers
from repcon_jax.figures.study.picture import PICTURES, Picture
from repcon_jax.figures.study.places import Means, Results, meaning, means_of, setting_of, settings, short_name, unit_of

# More would not fit into their cells.
_MOST_WITH_NUMBERS = 14


@PICTURES.register("pairs")
def pairs() -> Picture:
    """One picture a score."""

    def draw(results: Results) -> dict[str, Figure]:
        return {
            short_name(results, name): draw_pairs(results, name, means) for name, means in means_of(results, 2).items()
        }

    return draw


def draw_pairs(results: Results, name: str, means: Means) -> Figure:
    """The first network of a pair across, the second down; a panel a target. Bright is good, where something is.

    Args:
        results: of the study.
        name: of the score.
        means: of pairs.
    """
    score, places = meaning(results, name), settings(means)
    names = [network for network in results["networks"] if any(network in mean["networks"] for mean in means)]
    side = 0.55 * len(names) + 0.9
    figure, axes = panels(len(places), (side + 0.6, side), sharex=True, sharey=True)
    tables = [_table(names, [mean for mean in means if setting_of(mean) == place], factor(score)) for place in places]
    shown = np.concatenate([table[np.isfinite(table)] for table in tables])
    low, high = (shown.min(), shown.max()) if shown.size else (0.0, 1.0)
    colours = {None: NEUTRAL, True: HIGH_IS_GOOD, False: LOW_IS_GOOD}[score.higher_is_better]
    for axis, place, table in zip(axes, places, tables, strict=True):
        image = axis.imshow(table, cmap=colours, vmin=low, vmax=high)
        if len(names) <= _MOST_WITH_NUMBERS:
            write_numbers(axis, image, table, zip(*np.tril_indices(len(table)), strict=True))
        axis.set_xticks(range(len(names) - 1), names[:-1], rotation=45, ha="right")
        axis.set_yticks(range(len(names) - 1), names[1:])
        axis.tick_params(labelbottom=True, labelleft=True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_title(str(place), fontsize=9)
    figure.colorbar(image, ax=axes, label=unit_of(score), shrink=0.8)
    title(figure, results, name, score)
    return figure


def _table(names: list[str], means: Means, times: float) -> np.ndarray:
    """[second, first]; NaN for what was not measured or is not finite."""
    table = np.full((len(names) - 1, len(names) - 1), np.nan)
    for mean in means:
        first, second = (names.index(name) for name in mean["networks"])
        if mean["mean"] is not None:
            table[second - 1, first] = times * mean["mean"]
    return table
