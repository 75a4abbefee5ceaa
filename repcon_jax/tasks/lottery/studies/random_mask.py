"""Random masks, the control for what is due to densities alone."""

import jax
import jax.numpy as jnp

from repcon_jax.lottery.criterion import Evidence, build_criterion, score
from repcon_jax.lottery.masks import counts, full_mask
from repcon_jax.lottery.prunable import prunable
from repcon_jax.lottery.selection import select
from repcon_jax.models import Network
from repcon_jax.random import stream
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.studies import STUDIES, Study
from repcon_jax.tasks.lottery.tickets import Ticket
from repcon_jax.trees import named_leaves
from repcon_jax.typing import PyTree


@STUDIES.register("random_mask")
def random_mask(*, layerwise: bool = True) -> Study:
    """Trains the chain's start under a mask drawn at random, anew for every round and seed.

    Args:
        layerwise: whether each layer keeps as many weights as the ticket does; otherwise only the network does, so
            that all layers have about one density.

    Source: Frankle et al., arXiv 2009.08576, section 5 (random shuffling); Frankle and Carbin, arXiv 1803.03635.
    """

    def measure(bench: LotteryBench, name: str, tickets: list[Ticket]) -> list[dict]:
        def vary(ticket: Ticket, seed: int) -> tuple[Network, PyTree]:
            prunable_leaves = prunable(bench.config.prunable, ticket.masks[seed], bench.experiment.model)
            key = stream(jax.random.key(seed), f"random mask of {ticket.chain}", ticket.number)
            return ticket.starts[seed], random_like(ticket.masks[seed], prunable_leaves, key, layerwise=layerwise)

        return bench.retrain(name, tickets, vary)

    return Study("accuracy", measure)


def random_like(mask: PyTree, prunable_leaves: PyTree, key: jax.Array, *, layerwise: bool) -> PyTree:
    """A random mask that keeps as many entries as another.

    Args:
        mask: the other one.
        prunable_leaves: a Python bool per leaf, whether it may be pruned; the other leaves are kept whole.
        key: of the choice.
        layerwise: whether each leaf keeps as many, or only all leaves together.
    """
    full = full_mask(mask)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), mask)
    scores = score(build_criterion("random"), Evidence(zeros, full, key=key))
    is_prunable = named_leaves(prunable_leaves)
    keep = {name: kept for name, (kept, _) in counts(mask).items() if is_prunable[name]}
    return select(scores, full, keep if layerwise else sum(keep.values()), prunable_leaves)
