"""The dense network trained for as many steps as it took to find a ticket."""

from repcon_jax.lottery.masks import full_mask
from repcon_jax.tasks.lottery.base import STUDIES, Start, Study, Ticket
from repcon_jax.tasks.lottery.bench import Bench
from repcon_jax.typing import PyTree


@STUDIES.register("dense_as_long")
def dense_as_long() -> Study:
    """Trains each chain's start, dense, for the steps of all rounds up to its last ticket together.

    The schedule is that of one long training: milestones in percent stretch with it, others stay where they are.
    """

    def measure(bench: Bench, name: str, tickets: list[Ticket]) -> list[dict]:
        entries = []
        for ticket in {ticket.chain: ticket for ticket in tickets}.values():  # the last one of each chain
            steps = (ticket.number + 1) * bench.problem.clock.total_steps

            def vary(ticket: Ticket, seed: int) -> tuple[Start, PyTree]:
                return ticket.starts[seed], full_mask(ticket.masks[seed])

            problem = bench.problem_of(duration=f"{steps} steps")
            entries += bench.retrain(name, [ticket], vary, problem)
        return entries

    return Study("accuracy", measure)
