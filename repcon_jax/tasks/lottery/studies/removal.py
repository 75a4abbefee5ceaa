"""What a ticket is worth as a smaller dense network: without its dead units, in parameters and in time."""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

from repcon_jax.errors import check_range
from repcon_jax.lottery.masks import counts
from repcon_jax.lottery.removal import remove_dead_units
from repcon_jax.lottery.widths import with_any_widths
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.chains import end_of
from repcon_jax.tasks.lottery.studies import STUDIES, Study
from repcon_jax.tasks.lottery.tickets import Ticket


@STUDIES.register("removal")
def removal(*, batch_size: int = 128, repeats: int = 20) -> Study:
    """Removes dead units from the trained ticket of the first seed, and times whole and smaller network in turns.

    An entry holds the numbers of parameters before, kept by the mask, and after; the median milliseconds of a forward
    pass in evaluation mode; and the largest difference of a logit, relative to the largest logit.

    Args:
        batch_size: training images of a pass; all where there are fewer.
        repeats: passes of each.
    """
    check_range("batch_size", batch_size, 1)
    check_range("repeats", repeats, 1)

    def measure(bench: LotteryBench, name: str, tickets: list[Ticket]) -> list[dict[str, Any]]:
        del name
        data = bench.experiment.recipe.data
        images = bench.experiment.context.pixels(data.images[:batch_size])
        return [ticket.labels | _measure(bench, ticket, images, repeats) for ticket in tickets]

    def check(bench: LotteryBench) -> None:
        state = next(iter(bench.states.values()))
        remove_dead_units(bench.experiment.model, state.params, state.model_state, mask=state.mask)

    return Study("size", measure, check)


def _measure(bench: LotteryBench, ticket: Ticket, images: jax.Array, repeats: int) -> dict[str, Any]:
    seed, end = next(iter(end_of(ticket).items()))
    model = bench.experiment.model
    smaller = remove_dead_units(model, end.params, end.model_state, mask=ticket.masks[seed])
    passes = [
        (jax.jit(lambda *network: model.apply(*network, False)[0].logits), (end.params, end.model_state)),
        (
            jax.jit(lambda *network: with_any_widths(model).apply(*network, False)[0].logits),
            (smaller.params, smaller.model_state),
        ),
    ]
    logits = [jax.block_until_ready(apply(*network, images)) for apply, network in passes]
    seconds: list[list[float]] = [[], []]
    for _ in range(repeats):
        for (apply, network), times in zip(passes, seconds, strict=True):
            began = time.perf_counter()
            jax.block_until_ready(apply(*network, images))
            times.append(time.perf_counter() - began)
    before, after = (1000 * statistics.median(times) for times in seconds)
    return {
        "parameters": smaller.parameters_before,
        "parameters_kept": sum(kept for kept, _ in counts(ticket.masks[seed]).values()),
        "parameters_after_removal": smaller.parameters_after,
        "milliseconds": before,
        "milliseconds_after_removal": after,
        "largest_difference": float(jnp.max(jnp.abs(logits[0] - logits[1])) / jnp.max(jnp.abs(logits[0]))),
    }
