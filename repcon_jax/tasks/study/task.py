"""Studies as a task."""

from repcon_jax.figures.study import study_tables
from repcon_jax.tasks import TASKS, Task
from repcon_jax.tasks.study.config import parse_study, plain_study
from repcon_jax.tasks.study.run import run_study


@TASKS.register("study")
def study() -> Task:
    """Measures networks on targets, compares them and judges claims."""
    return Task(parse_study, plain_study, run_study, study_tables)
