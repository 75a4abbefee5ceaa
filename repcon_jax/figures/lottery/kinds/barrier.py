"""Barriers between two trainings of a ticket."""

from typing import TYPE_CHECKING, Any

from repcon_jax.figures.lottery.kind import KINDS, Kind, Results, Studies, ticket_cells
from repcon_jax.figures.numbers import axis_label, mean_and_std
from repcon_jax.figures.tables import Rows
from repcon_jax.records.scores import Score

if TYPE_CHECKING:
    from matplotlib.pyplot import Figure

_ERROR = Score("error barrier", "fraction", higher_is_better=False)
_INSTABILITY = Score("instability", "fraction", higher_is_better=False)
_LOSS = Score("loss barrier", higher_is_better=False)


@KINDS.register("barrier")
def barrier() -> Kind:
    """Entries hold ``error`` and ``supervised_loss``, each with its ``barrier`` and ``instability``."""
    return Kind(_rows, _figure, "barriers")


def _rows(results: Results, studies: Studies) -> Rows:
    def columns(entry: dict[str, Any]) -> list[str]:
        error, loss = entry["error"], entry["supervised_loss"]
        numbers = ((error["barrier"], _ERROR), (error["instability"], _INSTABILITY), (loss["barrier"], _LOSS))
        return [mean_and_std(*number) for number in numbers]

    header = ["chain", "weights remaining (%)", *map(axis_label, (_ERROR, _INSTABILITY, _LOSS))]
    return [header, *ticket_cells(results, studies, columns)]


def _figure(results: Results, studies: Studies) -> "Figure":
    """Heights against weights remaining, a line a chain."""
    from repcon_jax.figures.lottery import drawing

    figure, axes = drawing.plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for axis, (metric, score) in zip(axes, {"error": _ERROR, "supervised_loss": _LOSS}.items(), strict=True):
        drawing.by_chain(axis, results, studies, lambda entry, metric=metric: entry[metric]["barrier"], score)
        axis.set(ylabel=axis_label(score))
    axes[0].legend(fontsize=8)
    return figure
