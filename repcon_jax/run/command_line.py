"""The command line's words turned into a config and a work directory."""

import ast
import pathlib
import runpy
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from repcon_jax.errors import ConfigError, UserError, check_range, did_you_mean
from repcon_jax.machine.distributed import Hosts
from repcon_jax.options.schema import check_type
from repcon_jax.run.config import ExperimentConfig, parse_config

_FLAGS = ("--config", "--workdir")
_HOST_FLAGS = ("--distributed", "--coordinator", "--num_processes", "--process_id", "--connect_timeout")
_START_FLAGS = ("--compilation_cache", *_HOST_FLAGS)


def split_start_flags(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The flags that say how this start is made, with their values, and the other words, which say what is run.

    Raises:
        ConfigError: such a flag has no value.

    >>> split_start_flags(["--compilation_cache", "none", "--workdir=runs/a"])
    ({'--compilation_cache': 'none'}, ['--workdir=runs/a'])
    """
    given, others, words = {}, [], list(arguments)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        if flag in _START_FLAGS:
            given[flag] = value if equals else _next_value(flag, words)
        else:
            others.append(word)
    return given, others


def read_hosts(start: Mapping[str, str]) -> Hosts | None:
    """Where the hosts of this start meet; None for a single one.

    Args:
        start: from ``split_start_flags``.
    Raises:
        ConfigError: a flag is missing, or a value is wrong.

    >>> read_hosts({"--coordinator": "10.0.0.1:8476", "--num_processes": "2", "--process_id": "1"}).process_id
    1
    """
    given = {flag.removeprefix("--"): parse_value(text) for flag, text in start.items() if flag in _HOST_FLAGS}
    if not given:
        return None
    auto = given.pop("distributed", None)
    if auto not in (None, "auto") or (auto and "coordinator" in given):
        raise ConfigError(f"--distributed is {auto!r} but must be auto, without --coordinator; give one of the two.")
    needed = () if auto else ("coordinator", "num_processes", "process_id")
    for flag in needed:
        if flag not in given:
            raise ConfigError(f"--{flag} is missing; several hosts need {', '.join(f'--{name}' for name in needed)}.")
    if "connect_timeout" in given:
        given["timeout"] = given.pop("connect_timeout")
    for name, value in given.items():
        allowed = {"coordinator": str, "timeout": float}.get(name, int)
        check_type(f"--{name}", value, allowed)
    check_range("--connect_timeout", given.get("timeout", 1), 0, open_low=True)
    return Hosts(**given)


def read_arguments(arguments: Sequence[str]) -> tuple[ExperimentConfig, pathlib.Path]:
    """The config, with its overrides, and the work directory.

    Args:
        arguments: such as ``["--config", "configs/dino.py:cifar10", "--workdir=runs/a", "--config.seed=1"]``.
    Raises:
        ConfigError: a flag, a file, an argument, a field or a value is wrong.
    """
    values, workdir = read_values(arguments)
    return parse_config(values), workdir


def read_values(arguments: Sequence[str]) -> tuple[dict[str, Any], pathlib.Path]:
    """The same as plain values, whose types and ranges are not yet checked."""
    given = _pairs(arguments)
    for flag in _FLAGS:
        if flag not in given:
            raise ConfigError(f"{flag} is missing; see python -m repcon_jax --help.")
    config = load_config(given.pop("--config"))
    workdir = pathlib.Path(given.pop("--workdir"))
    for flag, text in given.items():
        _override(config, flag.removeprefix("--config."), parse_value(text))
    return config, workdir


def load_config(file_and_argument: str) -> dict[str, Any]:
    """What ``get_config(argument)`` of a config file returns, as nested plain values.

    Args:
        file_and_argument: ``FILE`` or ``FILE:ARGUMENT``.
    Raises:
        ConfigError: there is no such file, it does not run or has no ``get_config``.
    """
    file, _, argument = file_and_argument.partition(":")
    if not pathlib.Path(file).is_file():
        raise ConfigError(f"--config is {file!r}, which is no file; give one such as configs/random_teacher.py.")
    # As for a Python script, so that a config can import a method that stands beside it.
    folder = str(pathlib.Path(file).absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        config = runpy.run_path(file)["get_config"](argument or None)
    except UserError:
        raise
    except ImportError as error:
        raise ConfigError(f"--config {file} does not run: {error}.") from error
    except Exception as error:
        raise ConfigError(
            f"--config {file} does not run ({type(error).__name__}: {error}); it must define get_config(argument)."
        ) from error
    if not isinstance(config, (ConfigDict, dict)):
        raise ConfigError(f"--config {file} gives {config!r}; its get_config(argument) must return a ConfigDict.")
    return config.to_dict() if isinstance(config, ConfigDict) else config


def parse_value(text: str) -> Any:
    """A Python literal where the text is one, otherwise the text itself.

    >>> parse_value("1e-3"), parse_value("(1, 2)"), parse_value("10 epochs"), parse_value("true")
    (0.001, (1, 2), '10 epochs', True)
    """
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        return text


def _pairs(arguments: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    words = list(arguments)
    while words:
        flag, equals, value = words.pop(0).partition("=")
        if flag not in _FLAGS and not flag.startswith("--config."):
            known = [*_FLAGS, *_START_FLAGS, "--config.FIELD"]
            raise ConfigError(f"argument {flag!r} does not exist; {did_you_mean(flag, known)}.")
        given[flag] = value if equals else _next_value(flag, words)
    return given


def _next_value(flag: str, words: list[str]) -> str:
    if not words or words[0].startswith("--"):
        raise ConfigError(f"{flag} has no value; write {flag}=VALUE.")
    return words.pop(0)


def _override(config: dict[str, Any], path: str, value: Any) -> None:
    *groups, name = path.split(".")
    if groups[:1] == ["population"]:  # its axes are resolved where all fields are known
        groups, name = groups[:1], path.partition(".")[2]
    place = config
    for depth, group in enumerate(groups):
        _require(place, group, ".".join(groups[: depth + 1]))
        place = place[group]
    # A data source checks its options itself.
    if path != f"data.options.{name}" and groups != ["population"]:
        _require(place, name, path)
    # Entries by name may be replaced by a tuple of them, where a task takes one.
    if isinstance(place.get(name), dict) and not isinstance(value, tuple):
        fields = ", ".join(sorted(place[name]))
        fix = f"set one of: {fields}" if fields else "it is empty, so give it in the config file"
        raise ConfigError(f"--config.{path} is a group of fields; {fix}.")
    place[name] = value


def _require(place: Any, name: str, path: str) -> None:
    if not isinstance(place, dict) or name not in place:
        if not place or not isinstance(place, dict):
            group = path.rpartition(".")[0]
            raise ConfigError(f"config has no field {path!r}, since {group} is {place!r}; give it in the config file.")
        raise ConfigError(f"config has no field {path!r}; {did_you_mean(name, place)}.")
