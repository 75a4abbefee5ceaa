"""The dense network trained for as many steps as it took to find a ticket."""

from repcon_jax.lottery.masks import full_mask
from repcon_jax.models import Network
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.studies import STUDIES, Study
from repcon_jax.tasks.lottery.tickets import Ticket
from repcon_jax.typing import PyTree


@STUDIES.register("dense_as_long")
def dense_as_long() -> Study:
    """Trains each chain's start, dense, for the steps of all rounds up to its last ticket together.

    The schedule is that of one long training: milestones in percent stretch with it, others stay where they are.
    """

    def measure(bench: LotteryBench, name: str, tickets: list[Ticket]) -> list[dict]:
        entries = []
        for ticket in {ticket.chain: ticket for ticket in tickets}.values():  # the last one of each chain
            steps = (ticket.number + 1) * bench.experiment.clock.total_steps

            def vary(ticket: Ticket, seed: int) -> tuple[Network, PyTree]:
                return ticket.starts[seed], full_mask(ticket.masks[seed])

            experiment = bench.experiment_of(duration=f"{steps} steps")
            entries += bench.retrain(name, [ticket], vary, experiment)
        return entries

    return Study("accuracy", measure)
