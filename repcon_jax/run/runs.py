"""Runs that a task trains before its own work, and the checkpoints that they leave.

They lie in ``WORKDIR/runs/NAME``. A text ``{runs}/NAME/MEMBER/STEP`` anywhere in a run's config stands for a checkpoint
of another one, which is then trained before; STEP is a number, ``start`` or ``end``.
"""

import contextlib
import graphlib
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from repcon_jax.errors import CheckpointError, ConfigError, DataError, did_you_mean
from repcon_jax.options.patterns import check_names
from repcon_jax.records.files import read_json
from repcon_jax.run.config import ExperimentConfig, parse_config, plain_config
from repcon_jax.run.execute import run_experiment

Runs = Mapping[str, Any]
_MARK = "{runs}/"


def run_config(runs: Runs, name: str, field: str | None = None) -> ExperimentConfig:
    """The config of one of the runs.

    Args:
        runs: plain configs by name.
        name: of the run.
        field: of the task's config that holds it, where that is not ``runs.NAME``.
    Raises:
        ConfigError: it is wrong; the message begins with the field.
    """
    field = f"runs.{name}" if field is None else field
    if not isinstance(runs[name], Mapping):
        raise ConfigError(f"{field} is {runs[name]!r} but must be a run's config, a group of fields; correct it.")
    with _of(field):
        return parse_config(runs[name])


@contextlib.contextmanager
def _of(field: str) -> Iterator[None]:
    """Within, what is wrong with a run's config or data is said of the field that holds the run."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise type(error)(f"{field}: {str(error).replace('--config.', f'--config.{field}.')}") from error


def order_of(runs: Runs) -> list[str]:
    """Names of the runs, each after those from whose checkpoints it starts.

    Raises:
        ConfigError: a name is no folder's, one starts from a run that does not exist, or they start from each other.
    """
    check_names("runs", runs)
    needs = {name: _starts(run_config(runs, name)) for name in runs}
    for name, others in needs.items():
        for other in others - needs.keys():
            raise ConfigError(f"runs.{name} starts from the run {other!r}; {did_you_mean(other, runs)}.")
    try:
        return list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        raise ConfigError(f"runs start from each other: {', '.join(error.args[1])}; break the circle.") from error


def train_runs(runs: Runs, workdir: pathlib.Path, say: Callable[[str], None]) -> None:
    """Trains every run; what is complete is left as it is.

    Args:
        runs: plain configs by name.
        workdir: of the task.
        say: receives lines for the user.
    """
    for name in order_of(runs):
        with _of(f"runs.{name}"):
            run_experiment(parse_config(_resolved(runs[name], workdir)), workdir / "runs" / name, say)


def checkpoint_folder(place: str, workdir: pathlib.Path) -> pathlib.Path:
    """The folder of a checkpoint ``RUN/MEMBER/STEP`` of one of the runs in a task's work directory.

    Raises:
        CheckpointError: the step was never saved, and the saved ones are listed; or the end of a complete run is gone.
    """
    run, member, step = place.split("/")
    folder = workdir / "runs" / run / "checkpoints" / member
    steps = sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit())
    wanted = {"start": 0, "end": steps[-1] if steps else -1}.get(step)
    wanted = int(step) if wanted is None else wanted
    if wanted not in steps:
        raise CheckpointError(
            f"{folder} holds no step {step}; saved are {', '.join(map(str, steps)) or 'none'}; name one of them, or "
            f"let --config.runs.{run}.checkpoint.keep name the step."
        )
    if step == "end":
        _check_end(workdir / "runs" / run / "members" / f"{member}.json", folder / str(wanted))
    return folder / str(wanted)


def _check_end(result: pathlib.Path, newest: pathlib.Path) -> None:
    """Checks that the newest checkpoint of a member is the one that it ended with, if it ended."""
    about = read_json(result, "steps") if result.exists() else {"diverged": True}
    if "diverged" not in about and int(newest.name) != about["steps"]:
        raise CheckpointError(
            f"{newest.parent} has no step {about['steps']}, with which that run ended; put it back, or move the run's "
            "folder away to train it again."
        )


def _starts(run: ExperimentConfig) -> set[str]:
    """The runs that a run starts from."""
    return {text.split("/")[1] for text in _texts(plain_config(run)) if text.startswith(_MARK)}


def _texts(value: Any) -> list[str]:
    """All texts in a plain config, wherever they stand."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [text for part in parts for text in _texts(part)]


def _resolved(value: Any, workdir: pathlib.Path) -> Any:
    if isinstance(value, Mapping):
        return {key: _resolved(part, workdir) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_resolved(part, workdir) for part in value)
    if not isinstance(value, str) or not value.startswith(_MARK):
        return value
    return str(checkpoint_folder(value.removeprefix(_MARK), workdir))
