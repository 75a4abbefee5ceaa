"""Reinitialised tickets: the mask without the weights that it was found with."""

import jax.numpy as jnp

from repcon_jax.errors import check_range
from repcon_jax.models import Network
from repcon_jax.run.members import Group
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.studies import STUDIES, Study
from repcon_jax.tasks.lottery.tickets import Ticket
from repcon_jax.typing import PyTree


@STUDIES.register("reinitialised")
def reinitialised(*, seed_offset: int = 1000) -> Study:
    """Trains a fresh random initialisation under the ticket's mask, whatever the chain started from.

    Args:
        seed_offset: the initialisation of seed s is that of the seed s + seed_offset.

    Source: Frankle and Carbin, arXiv 1803.03635, section 2 (random reinitialization).
    """
    check_range("seed_offset", seed_offset, 1, 2**30)

    def measure(bench: LotteryBench, name: str, tickets: list[Ticket]) -> list[dict]:
        values = {key: column[0] for key, column in bench.experiment.members(Group((0,), (0,))).values.items()}

        def vary(ticket: Ticket, seed: int) -> tuple[Network, PyTree]:
            state = bench.experiment.recipe.initial_state(jnp.int32(seed + seed_offset), values)
            return bench.experiment.context.network(state.params, state.model_state), ticket.masks[seed]

        return bench.retrain(name, tickets, vary)

    return Study("accuracy", measure)
