"""What a ticket is."""

import pathlib
from dataclasses import dataclass
from typing import Any

from repcon_jax.models import Network
from repcon_jax.typing import PyTree


@dataclass(frozen=True)
class Ticket:
    """A mask, what is trained below it, and the finished round that did.

    Args:
        chain: name of its chain.
        number: of the round; 0 is dense.
        folder: work directory of the round.
        starts: by seed the network where the chain starts, unmasked.
        masks: by seed, on the host, since there may be hundreds of tickets.
        density: by seed, of what may be pruned.
        accuracy: of the round, as in its ``results.json``.
    """

    chain: str
    number: int
    folder: pathlib.Path
    starts: dict[int, Network]
    masks: dict[int, PyTree]
    density: list[float]
    accuracy: dict[str, Any]

    @property
    def labels(self) -> dict[str, Any]:
        """What marks it in results."""
        return {"chain": self.chain, "round": self.number, "density": self.density}
