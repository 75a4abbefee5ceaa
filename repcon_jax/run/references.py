"""Networks by reference: a checkpoint of one of a task's runs or of any other, and a part of it.

A reference is ``PLACE`` or ``PLACE:PART``. The place is ``RUN/MEMBER/STEP``, where the run is a name in
``config.runs``, the member a name such as ``seed_0`` or ``locality_1.0__seed_0``, and the step a number, ``start`` or
``end``; or the folder of a checkpoint of another run, such as ``runs/rt/checkpoints/seed_0/19500``, where the step may
be ``start`` or ``end`` too. The part is
``params``, what was trained, or what the objective carries, such as ``teacher``. A ``*`` in the member stands for
anything: ``*`` for all members, ``locality_1.0__*`` for those of that locality. ``pixels`` is the image itself.
"""

import fnmatch
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from repcon_jax.errors import ConfigError, did_you_mean
from repcon_jax.models import Network, raw_pixels
from repcon_jax.records.files import read_json
from repcon_jax.run.config import ExperimentConfig, parse_config
from repcon_jax.run.members import members_of
from repcon_jax.run.networks import load_network
from repcon_jax.run.runs import Runs, checkpoint_folder, run_config
from repcon_jax.training.checkpoints import tree_digest

PIXELS = "pixels"


class Loaded(NamedTuple):
    """A network that was read from a checkpoint.

    Attributes:
        name: its reference.
        network: encoder and head.
        digest: of its parameters and model state, which tells it from another one.
        averaged: whether its weights lie between those of others of its architecture, so that running statistics of
            batch normalisation must be measured anew.
    """

    name: str
    network: Network
    digest: str
    averaged: bool = False


def expand(reference: str, runs: Runs) -> list[str]:
    """The references that a reference stands for: itself, or one for every member of a run.

    Raises:
        ConfigError: the run, the member or the step does not exist.
    """
    place, colon, part = reference.partition(":")
    words = place.split("/")
    if reference == PIXELS:
        return [reference]
    if words[0] not in runs:
        return [f"{folder}{colon}{part}" for folder in _folders(reference, place, runs)]
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
        ConfigError: it is no run's.
        CheckpointError: the run of a checkpoint elsewhere has no readable config.
    """
    if reference == PIXELS:
        raise ConfigError(f"reference {PIXELS!r} belongs to no run; name a network that was trained.")
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
    if reference == PIXELS:
        return Loaded(reference, raw_pixels(), reference)
    place, _, part = reference.partition(":")
    folder = checkpoint_folder(place, workdir) if place.split("/")[0] in runs else pathlib.Path(place)
    network = load_network(str(folder), part or "params")
    return Loaded(reference, network, tree_digest((network.params, network.model_state)))


def named_references(references: Sequence[str]) -> dict[str, str]:
    """References by names that are made of their runs, and where these have several, of what tells these apart.

    Args:
        references: a ``*`` for the step of a checkpoint elsewhere stands for every step that was saved.
    Raises:
        ConfigError: a checkpoint does not exist.

    >>> named_references(("pixels", "near/*/end", "near/*/end:teacher"))
    {'pixels': 'pixels', 'near.params': 'near/*/end', 'near.teacher': 'near/*/end:teacher'}
    """
    listed = [one for reference in references for one in _every_step(reference)]
    words = {one: _words(one) for one in listed}
    names = {}
    for one, (run, *rest) in words.items():
        siblings = [other[1:] for other in words.values() if other[0] == run]
        told = [word for i, word in enumerate(rest) if len({sibling[i] for sibling in siblings}) > 1]
        names[re.sub(r"[^\w.+-]", "", ".".join([run, *told]))] = one
    return names


def _words(reference: str) -> tuple[str, str, str, str]:
    """The run of a reference, its member, step and part."""
    place, _, part = reference.partition(":")
    if "/" not in place:
        return place, "", "", part
    *above, member, step = ["", *place.split("/")]
    run = above[-2] if above[-1] == "checkpoints" else above[-1]
    return run, member, step, part or "params"


def _every_step(reference: str) -> list[str]:
    place, colon, part = reference.partition(":")
    path = pathlib.Path(place)
    if path.name != "*":
        return [reference]
    steps = {int(one.name) for one in path.parent.parent.glob(f"{path.parent.name}/[0-9]*") if one.name.isdigit()}
    if not steps:
        raise ConfigError(f"reference {reference!r} stands for no checkpoint; give runs/NAME/checkpoints/seed_0/STEP.")
    return [f"{path.parent}/{step}{colon}{part}" for step in sorted(steps)]


def _folders(reference: str, place: str, runs: Runs) -> list[str]:
    """The folders of checkpoints that a path with stars in its member and a named step stands for."""
    path = pathlib.Path(place)
    step, member, above = path.name, path.parent.name, path.parent.parent
    found = []
    for folder in sorted(above.glob(member)) if member and above.is_dir() else []:
        saved = sorted((one for one in folder.glob("[0-9]*") if one.name.isdigit()), key=lambda one: int(one.name))
        chosen = {"start": saved[:1], "end": saved[-1:]}.get(step, [one for one in saved if one.name == step])
        found += [str(one) for one in chosen]
    if not found:
        raise ConfigError(
            f"reference {reference!r} is neither RUN/MEMBER/STEP of a run ({', '.join(runs) or 'there is none'}) nor "
            "the folder of a checkpoint such as runs/NAME/checkpoints/seed_0/STEP; correct it."
        )
    return found
