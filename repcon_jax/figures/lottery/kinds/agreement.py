"""How alike masks and signs of two seeds are."""

from typing import TYPE_CHECKING, Any

from repcon_jax.figures.lottery.kind import KINDS, Kind, Results, Studies, ticket_cells
from repcon_jax.figures.numbers import axis_label, mean_and_std
from repcon_jax.figures.tables import Rows
from repcon_jax.records.scores import Score

if TYPE_CHECKING:
    from matplotlib.pyplot import Figure

_SCORES = {
    "masks": Score("masks alike", "fraction"),
    "masks_by_chance": Score("by chance", "fraction"),
    "signs_at_start": Score("signs alike at the start", "fraction"),
    "signs_at_end": Score("at the end", "fraction"),
}


@KINDS.register("agreement")
def agreement() -> Kind:
    """Entries hold the shares ``masks``, ``masks_by_chance``, ``signs_at_start`` and ``signs_at_end``, or None."""
    return Kind(_rows, _figure, "agreement")


def _rows(results: Results, studies: Studies) -> Rows:
    def columns(entry: dict[str, Any]) -> list[str]:
        return ["" if entry[name] is None else mean_and_std(entry[name], score) for name, score in _SCORES.items()]

    header = ["chain", "weights remaining (%)", *map(axis_label, _SCORES.values())]
    return [header, *ticket_cells(results, studies, columns)]


def _figure(results: Results, studies: Studies) -> "Figure":
    """Masks and signs, a panel each, a line a chain."""
    from repcon_jax.figures.lottery import drawing

    figure, axes = drawing.plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for axis, names in zip(axes, (("masks", "masks_by_chance"), ("signs_at_end", "signs_at_start")), strict=True):
        for name, style in zip(names, ("-", ":"), strict=True):
            drawing.by_chain(axis, results, studies, lambda entry, name=name: entry[name], _SCORES[name], style)
    axes[0].set(ylabel="intersection over union of masks (%)", title="masks (dotted: by chance)")
    axes[1].set(ylabel="equal signs where both keep (%)", title="signs at the end (dotted: at the start)")
    axes[0].legend(fontsize=8)
    return figure
