"""One round: its start written as step 0 of an ordinary run, its end read from that run's last checkpoint.

So a round is trained, resumed, logged and reported like any run, and its mask lies in every checkpoint.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from repcon_jax.config import ExperimentConfig, plain_config
from repcon_jax.members import Group, MemberName, seeds_of
from repcon_jax.problem import Problem
from repcon_jax.tasks.lottery.base import Start
from repcon_jax.training.checkpoints import Checkpoints
from repcon_jax.training.step import TrainState, apply_mask
from repcon_jax.trees import named_leaves
from repcon_jax.typing import PyTree
from repcon_jax.workdir import open_workdir


def initial_states(problem: Problem) -> dict[int, TrainState]:
    """The state of every seed before its first step, as an ordinary run would begin."""
    seeds = seeds_of(problem.config)
    members = problem.members(Group(seeds, (0,)))
    values = {name: column[0] for name, column in members.values.items()}
    begin = jax.jit(problem.recipe.initial_state)
    return {seed: begin(jnp.int32(seed), values) for seed in seeds}


def grafted(fresh: Start, found: Start) -> Start:
    """The parameters and model state found, with the fresh ones for every part that is missing or of another shape.

    Args:
        fresh: of the model that is trained, with the parts ``encoder`` and ``head``.
        found: of a checkpoint.
    """
    return fitting(fresh[0], found[0]), fitting(fresh[1], found[1])


def fitting(fresh: PyTree, found: PyTree) -> PyTree:
    """The parts of one tree found, with the fresh ones for every part that is missing or of another shape."""
    return {part: _fitting(new, found.get(part, {})) for part, new in fresh.items()}


def _fitting(new: PyTree, old: PyTree) -> PyTree:
    shapes = [{name: leaf.shape for name, leaf in named_leaves(tree).items()} for tree in (new, old)]
    if shapes[0] != shapes[1]:
        return new
    return jax.tree.unflatten(jax.tree.structure(new), map(jnp.asarray, jax.tree.leaves(old)))


def write_starts(folder: pathlib.Path, config: ExperimentConfig, states: dict[int, TrainState]) -> None:
    """Makes a work directory whose run goes on from the given states, all at step 0.

    Args:
        folder: the work directory.
        config: of the run.
        states: by seed.
    """
    open_workdir(folder, plain_config(config))
    for seed, state in states.items():
        name = MemberName(seed, {})
        checkpoints = Checkpoints(folder / "checkpoints" / str(name))
        checkpoints.save(0, jax.device_get(state), {"pending": [], "last_epoch": [], **name.labels})
        checkpoints.close()


def started(problem: Problem, state: TrainState, start: Start, mask: PyTree) -> TrainState:
    """A state at step 0 with the parameters of a start, masked, and a fresh optimiser.

    Args:
        problem: gives the optimiser.
        state: an initial one.
        start: parameters and model state.
        mask: booleans with the shapes of the parameters.
    """
    params, model_state = start
    params = apply_mask(params, mask)
    values = {name: column[0] for name, column in problem.members(Group((0,), (0,))).values.items()}
    optimiser = problem.recipe.method(values)[1]
    return dataclasses.replace(
        state, params=params, model_state=model_state, opt_state=optimiser.init(params), mask=mask
    )


def stored_masks(folder: pathlib.Path, like: dict[int, PyTree]) -> dict[int, PyTree] | None:
    """The masks of a round that was begun, or None: a later start must not prune it anew, on other devices say.

    Args:
        folder: of the round.
        like: by seed, a tree of its structure.
    """
    if not all((folder / "checkpoints" / str(MemberName(seed, {})) / "0").is_dir() for seed in like):
        return None
    found = ends(folder, tuple(like), 0)
    return {
        seed: jax.tree.unflatten(jax.tree.structure(tree), map(jnp.asarray, jax.tree.leaves(found[seed]["mask"])))
        for seed, tree in like.items()
    }


def ends(folder: pathlib.Path, seeds: tuple[int, ...], step: int | None = None) -> dict[int, dict[str, Any]]:
    """Parameters, model state and mask of every seed of a finished round.

    Args:
        folder: of the round.
        seeds: of the members.
        step: which checkpoint; None for the newest.
    """
    found = {}
    for seed in seeds:
        checkpoints = Checkpoints(folder / "checkpoints" / str(MemberName(seed, {})), read_only=True)
        wanted = checkpoints.steps()[-1] if step is None else step
        found[seed] = checkpoints.restore_parts(wanted, ("params", "model_state", "mask"))
        checkpoints.close()
    return found
