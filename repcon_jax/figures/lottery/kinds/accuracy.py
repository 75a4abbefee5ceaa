"""What was trained in the tickets' place, beside the tickets."""

from typing import TYPE_CHECKING

from repcon_jax.figures.lottery.kind import KINDS, Entries, Kind, Results, Studies, remaining, ticket_score
from repcon_jax.figures.numbers import axis_label, mean_and_std
from repcon_jax.figures.tables import Rows

if TYPE_CHECKING:
    from matplotlib.pyplot import Figure


@KINDS.register("accuracy")
def accuracy() -> Kind:
    """Entries hold ``accuracy``, that of training something else."""
    return Kind(accuracy_rows, _figure, "controls")


def accuracy_rows(results: Results, studies: Studies) -> Rows:
    """A row a ticket, a column a study."""
    score = ticket_score(results)
    rows = [["chain", "weights remaining (%)", "ticket", *studies]]
    for entry in _tickets(studies):
        chain, number = entry["chain"], entry["round"]
        ticket = mean_and_std(results["chains"][chain][number]["accuracy"], score)
        others = [_of_ticket(entries, chain, number) for entries in studies.values()]
        cells = [mean_and_std(other["accuracy"], score) if other else "" for other in others]
        rows.append([results["labels"][chain], remaining(entry), ticket, *cells])
    return rows


def _tickets(studies: Studies) -> Entries:
    """An entry of every ticket that was studied, chain by chain."""
    tickets = {(entry["chain"], entry["round"]): entry for entries in studies.values() for entry in entries}
    chains = list(dict.fromkeys(chain for chain, _ in tickets))
    return [tickets[key] for key in sorted(tickets, key=lambda key: (chains.index(key[0]), key[1]))]


def _of_ticket(entries: Entries, chain: str, number: int) -> dict | None:
    return next((entry for entry in entries if (entry["chain"], entry["round"]) == (chain, number)), None)


def _figure(results: Results, studies: Studies) -> "Figure":
    """Tickets and what was trained in their place, a panel a chain."""
    from repcon_jax.figures.lottery import drawing

    score = ticket_score(results)
    names = list(dict.fromkeys(entry["chain"] for entries in studies.values() for entry in entries))
    figure, axes = drawing.panels(names)
    for axis, name in zip(axes, names, strict=True):
        rounds = results["chains"][name]
        drawing.band(axis, rounds, [entry["accuracy"] for entry in rounds], score, label="ticket", color="black")
        for number, (text, entries) in enumerate(studies.items()):
            own = [entry for entry in entries if entry["chain"] == name]
            if own:
                drawing.band(axis, own, [entry["accuracy"] for entry in own], score, label=text, color=f"C{number}")
        axis.set_title(results["labels"][name], fontsize=9)
        axis.grid(alpha=0.3)
        drawing.weights_axis(axis, rounds)
    axes[0].set(ylabel=f"{results['measured_on']} {axis_label(score)}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=7)
    return figure
