"""What a ticket and a study of tickets are, and the registry that finds ``tasks/lottery/studies/``."""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from repcon_jax.registry import Registry
from repcon_jax.schema import parse_call
from repcon_jax.typing import ModelState, Params, PyTree

if TYPE_CHECKING:
    from repcon_jax.tasks.lottery.bench import Bench

STUDIES = Registry("study", "repcon_jax.tasks.lottery.studies")

Start = tuple[Params, ModelState]


@dataclass(frozen=True)
class Ticket:
    """A mask, what is trained below it, and the finished round that did.

    Args:
        chain: name of its chain.
        number: of the round; 0 is dense.
        folder: work directory of the round.
        starts: by seed the parameters and model state where the chain starts, unmasked.
        masks: by seed, on the host, since there may be hundreds of tickets.
        density: by seed, of what may be pruned.
        accuracy: of the round, as in its ``results.json``.
    """

    chain: str
    number: int
    folder: pathlib.Path
    starts: dict[int, Start]
    masks: dict[int, PyTree]
    density: list[float]
    accuracy: dict[str, Any]

    @property
    def labels(self) -> dict[str, Any]:
        """What marks it in results."""
        return {"chain": self.chain, "round": self.number, "density": self.density}


def _nothing(bench: "Bench") -> None:
    del bench


@dataclass(frozen=True)
class Study:
    """Something that is done with tickets.

    Args:
        kind: what its entries hold, which says how they are drawn: ``accuracy``, that of training something else in
            the ticket's place; ``transfer``, likewise on other data; ``barrier``; ``agreement`` between seeds; ``size``
            after removal.
        measure: bench, the name under which it keeps its files, tickets -> entries as JSON values, each with the
            ``labels`` of its ticket.
        check: raises UserError where it cannot be done, before anything is trained.
    """

    kind: Literal["accuracy", "transfer", "barrier", "agreement", "size"]
    measure: Callable[["Bench", str, list[Ticket]], list[dict[str, Any]]]
    check: Callable[["Bench"], None] = _nothing


def build_study(text: str) -> Study:
    """The study of a text such as ``"reinitialised"`` or ``"transfer(data='cifar100')"``.

    Raises:
        ConfigError: no study has that name, or an option does not fit.
    """
    name, options = parse_call(text, "studies")
    return STUDIES.build(name, **options)
