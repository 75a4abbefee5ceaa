"""The work directory of a run: written atomically, never by two configs, nothing in it ever lost."""

import contextlib
import fcntl
import os
import pathlib
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any

from repcon_jax.errors import CheckpointError, ConfigError
from repcon_jax.options.choices import differing_fields
from repcon_jax.records.files import read_json, write_json

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml-collections", "chex")


def check_config(
    path: pathlib.Path,
    config: Mapping[str, Any],
    complete: Callable[[Mapping[str, Any]], dict[str, Any]],
    may_differ: tuple[str, ...] = (),
) -> None:
    """Refuses a work directory that another config wrote; changes nothing on disk.

    Args:
        path: the directory, which need not exist.
        config: of the run, as plain values.
        complete: fills fields that are younger than a stored config with their defaults.
        may_differ: beginnings of the dotted names of fields that a later start may change, beside the mesh.
    Raises:
        CheckpointError: it holds other files, or the run of another config (the differing fields are named).
    """
    stored = path / "config.json"
    if not stored.exists():
        strangers = sorted(p.name for p in path.iterdir() if not _is_leftover(p)) if path.is_dir() else []
        if strangers:
            raise CheckpointError(
                f"work directory {path} holds {strangers[0]!r} but no config.json, so it is not a run; "
                "give an empty or new directory with --workdir."
            )
        return
    # A run may go on on other devices.
    fixed = [f for f in differing_fields(_read_config(stored, complete), config) if not f.startswith("mesh.")]
    differing = [field for field in fixed if not field.startswith(may_differ)]
    if differing and has_begun(path):
        raise CheckpointError(
            f"work directory {path} belongs to another config: {', '.join(differing)} differ; "
            "give the config that wrote it, or another --workdir."
        )


def _read_config(path: pathlib.Path, complete: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    values = read_json(path)
    with contextlib.suppress(ConfigError):
        return complete(values)
    return values


def has_begun(path: pathlib.Path) -> bool:
    """Whether the run in a work directory has anything to lose: a checkpoint, a member's result, a measured point."""
    return any(
        any(path.glob(trace))
        for trace in ("checkpoints/*/[0-9]*", "members/*.json", "values/*", "runs/*", "rounds/*", "results.json")
    )


def _is_leftover(path: pathlib.Path) -> bool:
    return path.name == ".lock" or path.name.startswith(".config.json")


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    """Keeps a second process out of the work directory, made if need be; a killed process leaves no lock behind.

    Raises:
        CheckpointError: it cannot be written, or another process is running in it.
    """
    _check_writable(path)
    with (path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CheckpointError(
                f"work directory {path} is in use by another process; wait for it, stop it, or give another --workdir."
            ) from error
        yield


def open_workdir(path: pathlib.Path, config: Mapping[str, Any], *, replace: bool = False) -> None:
    """Creates the work directory and its ``config.json``; that of a run that never began is replaced.

    Args:
        path: the directory.
        config: of the run, as plain values.
        replace: whether the config of a run that began is replaced too, as ``check_config`` allows.
    Raises:
        CheckpointError: it cannot be written.
    """
    _check_writable(path)
    if replace or not has_begun(path):
        write_json(path / "config.json", config)


def _check_writable(path: pathlib.Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".config.json.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(
            f"work directory {path} cannot be written ({reason}); give another --workdir or mend what is in its way."
        ) from error


def record_start(path: pathlib.Path) -> None:
    """Writes this start's versions, devices and commit to ``environment.json`` and appends its time and command."""
    file = path / "environment.json"
    starts = read_json(file, "starts")["starts"] if file.exists() else []
    about = describe_environment()
    write_json(file, {**about, "starts": [*starts, {"time": _now(), "commit": about["commit"], "command": _command()}]})


def record_end(path: pathlib.Path, seconds: float) -> None:
    """Notes in ``environment.json`` how long the start that finished the run took."""
    file = path / "environment.json"
    about = read_json(file, "starts")
    about["starts"][-1]["seconds"] = round(seconds, 1)
    write_json(file, about)


@contextlib.contextmanager
def recorded(path: pathlib.Path) -> Iterator[None]:
    """Within, the work directory is locked; the start and how long it took are noted in ``environment.json``.

    Raises:
        CheckpointError: another process is running in it.
    """
    with locked(path):
        began = time.monotonic()
        record_start(path)
        yield
        record_end(path, time.monotonic() - began)


def describe_environment() -> dict[str, Any]:
    """Versions, devices and commit of this process, as JSON values."""
    import jax

    devices = jax.devices()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "backend": devices[0].platform,
        "devices": [device.device_kind for device in devices],
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "commit": _commit(),
    }


def _command() -> str:
    program = ["python", "-m", "repcon_jax"] if sys.argv[0].endswith("__main__.py") else sys.argv[:1]
    return shlex.join([*program, *sys.argv[1:]])


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _commit() -> str:
    root = pathlib.Path(__file__).parents[2]

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # An installed package may lie inside the checkout of something else.
        if pathlib.Path(git("rev-parse", "--show-toplevel")) == root:
            return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    return "unknown (not run from a git checkout)"
