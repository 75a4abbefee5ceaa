"""The work directory of a run: written atomically, never by two configs, nothing in it ever lost."""

import json
import os
import pathlib
import platform
import subprocess
import sys
import time
from importlib import metadata
from typing import Any

from repcon_jax.config import ExperimentConfig, differing_fields, plain_config
from repcon_jax.errors import CheckpointError

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml-collections", "chex")


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Writes a text file so that a reader, or the next start after a kill, sees all of it or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    os.replace(temporary, path)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON atomically, indented."""
    write_atomically(path, json.dumps(value, indent=2) + "\n")


def read_json(path: pathlib.Path) -> Any:
    """Reads JSON.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); move it away or use another work directory."
        ) from error


def check_config(path: pathlib.Path, config: ExperimentConfig) -> None:
    """Refuses a work directory that another config wrote; changes nothing on disk.

    Args:
        path: the directory, which need not exist.
        config: of the run.
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
    differing = differing_fields(read_json(stored), plain_config(config))
    if differing:
        raise CheckpointError(
            f"work directory {path} belongs to another config: {', '.join(differing)} differ; "
            "give the config that wrote it, or another --workdir."
        )


def _is_leftover(path: pathlib.Path) -> bool:
    return path.name.startswith(".config.json")


def open_workdir(path: pathlib.Path, config: ExperimentConfig) -> None:
    """Creates the work directory and its ``config.json`` where they are missing.

    Raises:
        CheckpointError: it cannot be written.
    """
    _check_writable(path)
    if not (path / "config.json").exists():
        write_json(path / "config.json", plain_config(config))


def _check_writable(path: pathlib.Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".config.json.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(
            f"work directory {path} cannot be written ({reason}); mend its permissions or give another --workdir."
        ) from error


def record_start(path: pathlib.Path) -> None:
    """Writes this start's versions, devices and commit to ``environment.json`` and appends its time and command."""
    file = path / "environment.json"
    starts = read_json(file)["starts"] if file.exists() else []
    about = describe_environment()
    write_json(file, {**about, "starts": [*starts, {"time": _now(), "commit": about["commit"], "command": sys.argv}]})


def record_end(path: pathlib.Path, seconds: float) -> None:
    """Notes in ``environment.json`` how long the start that finished the run took."""
    file = path / "environment.json"
    about = read_json(file)
    about["starts"][-1]["seconds"] = round(seconds, 1)
    write_json(file, about)


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
        "commit": _commit(),
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _commit() -> str:
    source = pathlib.Path(__file__).parent
    git = ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown (not run from a git checkout)"


def truncate_metrics(path: pathlib.Path, seed: int, last_step: int) -> None:
    """Drops what a killed member logged after its last checkpoint, so that a resumed one logs every step once.

    Args:
        path: ``metrics.jsonl``.
        seed: of the member; rows of others stay.
        last_step: the step that it resumes from, -1 where it starts afresh.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # a kill can leave half a line
            continue
        if row["seed"] != seed or row["step"] <= last_step:
            kept.append(line)
    write_atomically(path, "".join(line + "\n" for line in kept))
