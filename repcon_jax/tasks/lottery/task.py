"""Iterative pruning as a task."""

from repcon_jax.figures.lottery import lottery_table
from repcon_jax.tasks import TASKS, Task
from repcon_jax.tasks.lottery.config import parse_lottery, plain_lottery
from repcon_jax.tasks.lottery.run import run_lottery


@TASKS.register("lottery")
def lottery() -> Task:
    """Prunes and retrains round by round."""
    return Task(parse_lottery, plain_lottery, run_lottery, lottery_table)
