"""What a study of tickets is, and the registry that finds the files of this folder, one a study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from repcon_jax.options.registry import Registry
from repcon_jax.records.scores import Score
from repcon_jax.tasks.lottery.tickets import Ticket

if TYPE_CHECKING:
    from repcon_jax.tasks.lottery.bench import LotteryBench

STUDIES = Registry("study", "repcon_jax.tasks.lottery.studies")


def _nothing(bench: "LotteryBench") -> None:
    del bench


@dataclass(frozen=True)
class Study:
    """Something that is done with tickets.

    Args:
        kind: what its entries hold, which says how they are shown, see ``repcon_jax.figures.lottery.kind.KINDS``; a
            kind that is not registered there has a table of all its numbers.
        measure: bench, the name under which it keeps its files, tickets -> entries as JSON values, each with the
            ``labels`` of its ticket.
        check: raises UserError where it cannot be done, before anything is trained.
        scores: what numbers of its entries mean, where its kind does not know.
    """

    kind: str
    measure: Callable[["LotteryBench", str, list[Ticket]], list[dict[str, Any]]]
    check: Callable[["LotteryBench"], None] = _nothing
    scores: Mapping[str, Score] = field(default_factory=dict)


def build_study(text: str) -> Study:
    """The study of a text such as ``"reinitialised"`` or ``"transfer(data='cifar100')"``.

    Raises:
        ConfigError: no study has that name, or an option does not fit.
    """
    return STUDIES.parse(text, "studies")
