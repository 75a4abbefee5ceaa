"""Landscapes as a task."""

from repcon_jax.figures.landscapes import landscape_tables
from repcon_jax.tasks import TASKS, Task
from repcon_jax.tasks.landscape.config import parse_landscape, plain_landscape
from repcon_jax.tasks.landscape.run import run_landscape


@TASKS.register("landscape")
def landscape() -> Task:
    """Measures networks along planes and paths."""
    return Task(parse_landscape, plain_landscape, run_landscape, landscape_tables)
