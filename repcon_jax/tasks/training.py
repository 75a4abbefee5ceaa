"""Training as a task."""

from typing import Any

from repcon_jax.figures import probes_in_words, results_table
from repcon_jax.run.config import parse_config, plain_config
from repcon_jax.run.execute import run_experiment
from repcon_jax.tasks import TASKS, Task


def _headline(results: dict[str, Any]) -> str:
    words = probes_in_words(results)
    return f"{words}, seeds {results['seeds']}:" if words else ""


@TASKS.register("training")
def training() -> Task:
    """Trains, probes and reports."""
    return Task(parse_config, plain_config, run_experiment, results_table, _headline, several_hosts=True)
