"""How the results of a kind of study are shown, and the registry that finds ``figures/lottery/kinds/``."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from repcon_jax.figures.numbers import mean_and_std
from repcon_jax.figures.tables import Rows
from repcon_jax.options.registry import Registry
from repcon_jax.records.scores import ACCURACY, Score, read_scores

if TYPE_CHECKING:
    from matplotlib.pyplot import Figure

KINDS = Registry("kind", "repcon_jax.figures.lottery.kinds")
Results = dict[str, Any]
Entries = list[dict[str, Any]]
Studies = dict[str, Entries]
"""The entries of every study of one kind, by the text that names the study."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """How studies of one kind are shown together.

    Args:
        table: results of the lottery, the studies -> rows of cells, the header first.
        draw: likewise -> a figure; None for no figure. It imports matplotlib itself, for which no start need wait.
        picture: name of the figure's file.
    """

    table: Callable[[Results, Studies], Rows]
    draw: "Callable[[Results, Studies], Figure] | None" = None
    picture: str = ""


def kinds_of(results: Results) -> list[tuple[Kind, Studies]]:
    """The kinds of study that a lottery's results hold, in the order of its studies, each with those studies."""
    kinds: dict[str, Studies] = {}
    for text, study in results["studies"].items():
        kinds.setdefault(study["kind"], {})[text] = study["entries"]
    shown = [(name, studies) for name, studies in kinds.items() if any(studies.values())]
    # A study whose kind nobody registered has the plainest table.
    return [(KINDS.build(name) if name in KINDS.names() else Kind(_any_numbers), studies) for name, studies in shown]


def _any_numbers(results: Results, studies: Studies) -> Rows:
    """Every number that an entry holds, a column each."""
    entries = [(text, entry) for text, entries in studies.items() for entry in entries]
    shown = [name for _, entry in entries for name in entry if name != "round" and _is_number(entry[name])]
    names = list(dict.fromkeys(shown))
    rows = [["study", "chain", "weights remaining (%)", *(name.replace("_", " ") for name in names)]]
    for text, entry in entries:
        declared = read_scores(results["studies"][text])
        cells = [_cell(entry.get(name), declared.get(name, Score(name))) for name in names]
        rows.append([text, results["labels"][entry["chain"]], remaining(entry), *cells])
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, dict) and {"mean", "std"} <= value.keys())


def _cell(value: Any, score: Score) -> str:
    if value is None:
        return ""
    return mean_and_std(value if isinstance(value, dict) else {"mean": value, "std": None}, score)


def ticket_score(results: Results) -> Score:
    """What the number of a ticket means; versions that declared nothing measured the accuracy."""
    return read_scores(results).get("accuracy", ACCURACY)


def remaining(entry: dict[str, Any]) -> str:
    """Weights that remain, of the first seed, in percent."""
    return f"{100 * entry['density'][0]:.2f}"


def ticket_cells(results: Results, studies: Studies, columns: Callable[[dict[str, Any]], list[str]]) -> Rows:
    """Chain and weights remaining of every entry, and further cells of it."""
    entries = [entry for entries in studies.values() for entry in entries]
    return [[results["labels"][entry["chain"]], remaining(entry), *columns(entry)] for entry in entries]
