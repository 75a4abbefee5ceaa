"""Tasks register themselves, and a start imports the one that it needs."""

import subprocess
import sys

import pytest

from repcon_jax.errors import ConfigError
from repcon_jax.tasks import TASKS, Task, task_of


def test_every_task_is_found_by_its_name():
    assert {"training", "landscape", "lottery"} <= set(TASKS.names())
    for name in TASKS.names():
        assert isinstance(task_of({"task": name}), Task)


def test_a_config_without_a_task_is_for_training():
    assert task_of({}) == task_of({"task": "training"})


def test_an_unknown_task_is_named():
    with pytest.raises(ConfigError, match="task is 'lotery', which does not exist; did you mean 'lottery'"):
        task_of({"task": "lotery"})


def test_a_config_file_may_bring_its_own_task(monkeypatch):
    monkeypatch.setattr(TASKS, "_builders", dict(TASKS._builders))
    mine = Task(dict, dict, lambda config, workdir: {}, str)
    TASKS.register("mine")(lambda: mine)
    assert task_of({"task": "mine"}) is mine


def test_starting_a_training_imports_no_other_task():
    code = (
        "import sys; from repcon_jax.tasks import task_of; task_of({});"
        "print([name for name in sys.modules if name.startswith('repcon_jax.tasks.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['repcon_jax.tasks.training']"
