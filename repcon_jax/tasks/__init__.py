"""What one command can do: a config says which task it is for, and the task reads, runs and sums it up.

A task is a module here, or a folder with a module ``task``, of the same name, which registers a function that returns
its ``Task``. Only the one that a config names is imported. A config without the field ``task`` is for training.
"""

import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from repcon_jax.errors import ConfigError, did_you_mean
from repcon_jax.options.registry import Registry

TASKS = Registry("task", "repcon_jax.tasks", entry="task")


@dataclass(frozen=True)
class Task:
    """A kind of config and what is done with it.

    Args:
        parse: plain values -> frozen config.
        plain: the inverse.
        run: config, work directory -> results.
        table: results -> the numbers that count, as Markdown tables.
        headline: results -> what the table shows, in a line; empty where it says so itself.
        several_hosts: whether it can run on several hosts.
    """

    parse: Callable[[Mapping[str, Any]], Any]
    plain: Callable[[Any], dict[str, Any]]
    run: Callable[[Any, pathlib.Path], dict[str, Any]]
    table: Callable[[dict[str, Any]], str]
    headline: Callable[[dict[str, Any]], str] = lambda results: ""
    several_hosts: bool = False


def task_of(values: Mapping[str, Any]) -> Task:
    """The task that a config is for.

    Args:
        values: the config as plain values.
    Raises:
        ConfigError: its field ``task`` names none.
    """
    name = str(values.get("task", "training"))
    if name not in TASKS.names():
        raise ConfigError(f"task is {name!r}, which does not exist; {did_you_mean(name, TASKS.names())}.")
    return TASKS.build(name)
