"""Studies as a task."""

from repcon_jax.figures.study import study_tables
from repcon_jax.tasks import Task
from repcon_jax.tasks.study.config import parse_study, plain_study
from repcon_jax.tasks.study.run import run_study

STUDY = Task(parse_study, plain_study, run_study, study_tables)
