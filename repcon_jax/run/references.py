"""Networks by reference: a checkpoint of one of a task's runs or of any other, and a part of it.

A reference is ``PLACE`` or ``PLACE:PART``. The place is ``RUN/MEMBER/STEP``, where the run is a name in
``config.runs``, the member a name such as ``seed_0`` or ``locality_1.0__seed_0``, and the step a number, ``start`` or
``end``; or the folder of a checkpoint of another run, such as ``runs/rt/checkpoints/seed_0/19500``. The part is
``params``, what was trained, or what the objective carries, such as ``teacher``. A ``*`` in the member stands for
anything: ``*`` for all members, ``locality_1.0__*`` for those of that locality.
"""

import fnmatch
import pathlib
from typing import NamedTuple

from repcon_jax.errors import ConfigError, did_you_mean
from repcon_jax.models import Network
from repcon_jax.records.files import read_json
from repcon_jax.run.config import ExperimentConfig, parse_config
from repcon_jax.run.members import members_of
from repcon_jax.run.networks import load_network
from repcon_jax.run.runs import Runs, checkpoint_folder, run_config
from repcon_jax.training.checkpoints import tree_digest


class Loaded(NamedTuple):
    """A network that was read from a checkpoint.

    Attributes:
        name: its reference.
        network: encoder and head.
        digest: of its parameters and model state, which tells it from another one.
    """

    name: str
    network: Network
    digest: str


def expand(reference: str, runs: Runs) -> list[str]:
    """The references that a reference stands for: itself, or one for every member of a run.

    Raises:
        ConfigError: the run, the member or the step does not exist.
    """
    place, colon, part = reference.partition(":")
    words = place.split("/")
    if words[0] not in runs:
        _check_folder(reference, place, runs)
        return [reference]
    if len(words) != 3:
        raise ConfigError(f"reference {reference!r} names a run but must be RUN/MEMBER/STEP; correct it.")
    run, member, step = words
    members = [str(member) for member in members_of(run_config(runs, run))]
    chosen = fnmatch.filter(members, member)
    if not chosen:
        raise ConfigError(f"reference {reference!r} names no member of run {run!r}; {did_you_mean(member, members)}.")
    if step not in ("start", "end") and not step.isdigit():
        raise ConfigError(f"reference {reference!r} must end in start, end or the number of a step; correct it.")
    return [f"{run}/{m}/{step}{colon}{part}" for m in chosen]


def config_of(reference: str, runs: Runs) -> ExperimentConfig:
    """The config of the run that a reference belongs to.

    Raises:
        CheckpointError: the run of a checkpoint elsewhere has no readable config.
    """
    place = reference.partition(":")[0]
    run = place.split("/")[0]
    if run in runs:
        return run_config(runs, run)
    return parse_config(read_json(pathlib.Path(place).parents[2] / "config.json"))


def load_reference(reference: str, workdir: pathlib.Path, runs: Runs) -> Loaded:
    """Reads a network.

    Args:
        reference: one that ``expand`` returned.
        workdir: of the task; its runs lie in ``runs/``.
        runs: of the task.
    Raises:
        CheckpointError: the step was never saved (the saved ones are listed) or lacks the part.
    """
    place, _, part = reference.partition(":")
    folder = checkpoint_folder(place, workdir) if place.split("/")[0] in runs else pathlib.Path(place)
    network = load_network(str(folder), part or "params")
    return Loaded(reference, network, tree_digest((network.params, network.model_state)))


def _check_folder(reference: str, place: str, runs: Runs) -> None:
    folder = pathlib.Path(place)
    if not folder.name.isdigit() or not folder.is_dir():
        raise ConfigError(
            f"reference {reference!r} is neither RUN/MEMBER/STEP of a run ({', '.join(runs) or 'there is none'}) nor "
            "the folder of a checkpoint such as runs/NAME/checkpoints/seed_0/STEP; correct it."
        )
