"""Shuffled masks: what a ticket owes to which of a layer's weights it kept."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.lottery.masks import shuffle_within_layers
from repcon_jax.models import Network
from repcon_jax.random import stream
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.studies import STUDIES, Study
from repcon_jax.tasks.lottery.tickets import Ticket
from repcon_jax.trees import map_named
from repcon_jax.typing import Key, PyTree


@STUDIES.register("shuffled")
def shuffled(*, within: Literal["layer", "filter"] = "layer") -> Study:
    """Trains the chain's start under the ticket's mask with its entries in another order.

    Args:
        within: ``layer``: any order, which is as likely as any other mask of the same layerwise densities;
            ``filter``: each output keeps as many inputs as it had, and others.

    Source: Frankle et al., arXiv 2009.08576, section 5 (random shuffling).
    """
    shuffle = {"layer": shuffle_within_layers, "filter": shuffle_within_filters}[within]

    def measure(bench: LotteryBench, name: str, tickets: list[Ticket]) -> list[dict]:
        def vary(ticket: Ticket, seed: int) -> tuple[Network, PyTree]:
            key = stream(jax.random.key(seed), f"shuffled mask of {ticket.chain}", ticket.number)
            return ticket.starts[seed], shuffle(ticket.masks[seed], key)

        return bench.retrain(name, tickets, vary)

    return Study("accuracy", measure)


def shuffle_within_filters(mask: PyTree, key: Key) -> PyTree:
    """A mask that keeps as many entries of every filter, but others, at random; leaves without filters stay.

    Args:
        mask: booleans.
        key: every leaf draws from its own stream.
    """

    def shuffle(name: str, leaf: Any) -> Any:
        if leaf.ndim < 2 or np.all(leaf):
            return leaf
        rows = leaf.reshape(-1, leaf.shape[-1])
        return jax.random.permutation(stream(key, name), jnp.asarray(rows), independent=True).reshape(leaf.shape)

    return map_named(shuffle, mask)
