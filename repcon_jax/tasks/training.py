"""Training as a task."""

from typing import Any

from repcon_jax.config import parse_config, plain_config
from repcon_jax.experiment import run_experiment
from repcon_jax.figures import results_table
from repcon_jax.tasks import Task


def _summary(results: dict[str, Any]) -> str:
    return f"Test accuracy in percent, seeds {results['seeds']}:\n\n{results_table(results)}"


TRAINING = Task(parse_config, plain_config, run_experiment, _summary, several_hosts=True)
