"""Runs that go on from given states: every seed's state at step 0, written as an ordinary run's first checkpoint."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp

from repcon_jax.models import Network
from repcon_jax.records.workdir import open_workdir
from repcon_jax.run.config import plain_config
from repcon_jax.run.experiment import Experiment
from repcon_jax.run.members import Group, Member, seeds_of
from repcon_jax.training.checkpoints import Checkpoints
from repcon_jax.training.partition import split
from repcon_jax.training.step import TrainState, apply_mask
from repcon_jax.typing import PyTree


def initial_states(experiment: Experiment) -> dict[int, TrainState]:
    """The state of every seed before its first step, as an ordinary run would begin."""
    seeds = seeds_of(experiment.config)
    members = experiment.members(Group(seeds, (0,)))
    values = {name: column[0] for name, column in members.values.items()}
    begin = jax.jit(experiment.recipe.initial_state)
    return {seed: begin(jnp.int32(seed), values) for seed in seeds}


def started(experiment: Experiment, state: TrainState, start: Network, mask: PyTree) -> TrainState:
    """A state at step 0 with the parameters of a start, masked, and a fresh optimiser.

    Args:
        experiment: gives the optimiser.
        state: an initial one.
        start: where to begin.
        mask: booleans with the shapes of the parameters.
    """
    params = apply_mask(start.params, mask)
    values = {name: column[0] for name, column in experiment.members(Group((0,), (0,))).values.items()}
    optimiser, frozen = experiment.recipe.optimiser(values), experiment.recipe.frozen
    return dataclasses.replace(
        state,
        params=params,
        model_state=start.model_state,
        opt_state=optimiser.init(split(params, frozen)[0]),
        mask=mask,
    )


def write_starts(folder: pathlib.Path, experiment: Experiment, states: dict[int, TrainState]) -> None:
    """Makes a work directory whose run goes on from the given states, all at step 0.

    Args:
        folder: the work directory.
        experiment: of the run.
        states: by seed.
    """
    open_workdir(folder, plain_config(experiment.config))
    for seed, state in states.items():
        name = Member(seed, {})
        checkpoints = Checkpoints(folder / "checkpoints" / str(name))
        extra = {"pending": [], "last_epoch": [], **name.labels}
        checkpoints.save(0, jax.device_get(state), extra, experiment.descriptions(state))
        checkpoints.close()
