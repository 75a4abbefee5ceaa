"""Networks by reference: a checkpoint of one of the runs or of any other, and a part of it.

A reference is ``PLACE`` or ``PLACE:PART``. The place is ``RUN/MEMBER/STEP``, where the run is a name in
``config.runs``, the member a name such as ``seed_0`` or ``locality_1.0__seed_0``, and the step a number, ``start`` or
``end``; or the folder of a checkpoint of another run, such as ``runs/rt/checkpoints/seed_0/19500``. The part is
``params``, what was trained, or what the objective carries, such as ``teacher``. A ``*`` for the member stands for all.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from repcon_jax.config import ExperimentConfig, parse_config
from repcon_jax.errors import CheckpointError, ConfigError, did_you_mean
from repcon_jax.files import read_json
from repcon_jax.members import names_of
from repcon_jax.tasks.landscape.config import LandscapeConfig
from repcon_jax.training.checkpoints import load_params, tree_digest
from repcon_jax.typing import ModelState, Params


class Network(NamedTuple):
    """A network that was loaded.

    Attributes:
        name: its reference.
        params, model_state: of encoder and head.
        digest: of both, which tells it from another one.
    """

    name: str
    params: Params
    model_state: ModelState
    digest: str


def expand(reference: str, config: LandscapeConfig) -> list[str]:
    """The references that a reference stands for: itself, or one for every member of a run.

    Raises:
        ConfigError: the run, the member or the step does not exist.
    """
    place, colon, part = reference.partition(":")
    words = place.split("/")
    if words[0] not in config.runs:
        _check_folder(reference, place, config.runs)
        return [reference]
    if len(words) != 3:
        raise ConfigError(f"reference {reference!r} names a run but must be RUN/MEMBER/STEP; correct it.")
    run, member, step = words
    members = [str(name) for name in names_of(config.run(run))]
    if member != "*" and member not in members:
        raise ConfigError(f"reference {reference!r} names no member of run {run!r}; {did_you_mean(member, members)}.")
    if step not in ("start", "end") and not step.isdigit():
        raise ConfigError(f"reference {reference!r} must end in start, end or the number of a step; correct it.")
    return [f"{run}/{m}/{step}{colon}{part}" for m in (members if member == "*" else [member])]


def config_of(reference: str, config: LandscapeConfig) -> ExperimentConfig:
    """The config of the run that a reference belongs to.

    Raises:
        CheckpointError: the run of a checkpoint elsewhere has no readable config.
    """
    place = reference.partition(":")[0]
    run = place.split("/")[0]
    if run in config.runs:
        return config.run(run)
    return parse_config(read_json(pathlib.Path(place).parents[2] / "config.json"))


def load_network(reference: str, workdir: pathlib.Path, config: LandscapeConfig) -> Network:
    """Reads a network.

    Args:
        reference: one that ``expand`` returned.
        workdir: of the landscape; its runs lie in ``runs/``.
        config: names the runs.
    Raises:
        CheckpointError: the step was never saved (the saved ones are listed) or lacks the part.
    """
    place, _, part = reference.partition(":")
    folder = pathlib.Path(place)
    if place.split("/")[0] in config.runs:
        folder = checkpoint_folder(place, workdir)
    params, model_state = load_params(str(folder), part or "params")
    return Network(reference, params, model_state, tree_digest((params, model_state)))


def checkpoint_folder(place: str, workdir: pathlib.Path) -> pathlib.Path:
    """The folder of a checkpoint ``RUN/MEMBER/STEP`` of one of the runs in a landscape's work directory.

    Raises:
        CheckpointError: the step was never saved.
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
    return folder / str(wanted)


def resolve_starts(values: dict[str, Any], workdir: pathlib.Path) -> dict[str, Any]:
    """The plain config of a run with ``{runs}/RUN/MEMBER/STEP`` replaced by the folder, in its objective's options."""

    def resolve(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("{runs}/"):
            return value
        return str(checkpoint_folder(value.removeprefix("{runs}/"), workdir))

    return {**values, "objective": {name: resolve(value) for name, value in values["objective"].items()}}


def _check_folder(reference: str, place: str, runs: Mapping[str, Any]) -> None:
    folder = pathlib.Path(place)
    if not folder.name.isdigit() or not folder.is_dir():
        raise ConfigError(
            f"reference {reference!r} is neither RUN/MEMBER/STEP of a run ({', '.join(runs) or 'there is none'}) nor "
            "the folder of a checkpoint such as runs/NAME/checkpoints/seed_0/STEP; correct it."
        )
