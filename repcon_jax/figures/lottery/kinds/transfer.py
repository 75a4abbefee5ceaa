"""Tickets trained on other data."""

import dataclasses
from typing import TYPE_CHECKING

from repcon_jax.figures.lottery.kind import KINDS, Kind, Results, Studies, ticket_score
from repcon_jax.figures.lottery.kinds.accuracy import accuracy_rows
from repcon_jax.figures.numbers import axis_label

if TYPE_CHECKING:
    from matplotlib.pyplot import Figure


@KINDS.register("transfer")
def transfer() -> Kind:
    """Entries hold ``accuracy``, that on the other data."""
    return Kind(accuracy_rows, _figure, "transfer")


def _figure(results: Results, studies: Studies) -> "Figure":
    """A panel a data set, a line a chain."""
    from repcon_jax.figures.lottery import drawing

    score = ticket_score(results)
    score = dataclasses.replace(score, label=f"{score.label} on the other data")
    figure, axes = drawing.panels(studies)
    for axis, (text, entries) in zip(axes, studies.items(), strict=True):
        drawing.by_chain(axis, results, {text: entries}, lambda entry: entry["accuracy"], score)
        axis.set_title(text, fontsize=9)
    axes[0].set(ylabel=axis_label(score))
    axes[0].legend(fontsize=8)
    return figure
