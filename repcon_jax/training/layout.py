"""Where the state of a population has its axes, and on which devices it lies."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from repcon_jax.training.lifting import without
from repcon_jax.training.loop import TrainData
from repcon_jax.training.mesh import placements
from repcon_jax.training.recipe import MemberValues, Recipe
from repcon_jax.training.step import TrainState
from repcon_jax.typing import PyTree


def of_seeds(recipe: Recipe, shape: tuple[int, int]) -> NamedSharding:
    """The sharding of what only seeds have, [seeds, ...]."""
    return NamedSharding(recipe.mesh, PartitionSpec("member" if spread_axis(recipe, shape) == "seeds" else None))


def axes_of_data(data: TrainData) -> TrainData | None:
    """Only what is remembered has an axis of seeds."""
    if data.remembered is None:
        return None
    return dataclasses.replace(data, images=None, labels=None, sources=None, remembered=0)


def axes_of_state(carried: PyTree, constant: tuple[str, ...]) -> TrainState:
    """For every part of the state 0 where it has an axis of points, and None for what is constant."""
    return TrainState(0, 0, 0, 0, 0, {name: None if name in constant else 0 for name in carried})


def enlarged(alone: TrainState, shape: tuple[int, int], constant: tuple[str, ...]) -> TrainState:
    """The shapes of a population's state from those of a member's."""

    def with_axes(*axes: int) -> Callable[[Any], jax.ShapeDtypeStruct]:
        return lambda leaf: jax.ShapeDtypeStruct((*axes, *leaf.shape), leaf.dtype)

    once = {name: jax.tree.map(with_axes(shape[0]), alone.carried[name]) for name in constant}
    whole = jax.tree.map(with_axes(*shape), alone)
    return dataclasses.replace(whole, carried={**whole.carried, **once})


def constant_names(recipe: Recipe, members: MemberValues, alone: TrainState) -> tuple[str, ...]:
    """Names of what never changes and starts the same at every point."""
    declared = recipe.objective.constant
    if not declared or len(members.values["point"]) == 1:
        return tuple(declared)
    start = jax.vmap(recipe.initial_state, (None, 0), axes_of_state(alone.carried, declared))
    try:
        jax.eval_shape(start, *(members.seeds[0], jax.tree.map(lambda v: np.repeat(v[:1], 2), members.values)))
    except ValueError:  # vmap refuses a result without the axis on which it depends
        return ()
    return tuple(declared)


def spread_axis(recipe: Recipe, shape: tuple[int, int]) -> Literal["seeds", "points"]:
    """Which of a population's axes the mesh's axis ``member`` divides."""
    return "points" if shape[1] % recipe.mesh.shape["member"] == 0 else "seeds"


def shardings_of(
    recipe: Recipe, alone: TrainState, spread: Literal["seeds", "points"], constant: tuple[str, ...]
) -> TrainState:
    """The sharding of every leaf of a population's state.

    Args:
        recipe: of the run.
        alone: shapes and types of the state of one member.
        spread: from ``spread_axis``.
        constant: names in ``state.carried`` that have no axis of points.
    """
    specs = placements(alone, recipe.mesh, recipe.rules)
    member = {name: "member" if name == spread else None for name in ("seeds", "points")}

    def prefixed(*axes: str) -> Callable[[PartitionSpec], NamedSharding]:
        return lambda spec: NamedSharding(recipe.mesh, PartitionSpec(*(member[axis] for axis in axes), *spec))

    is_spec = lambda leaf: isinstance(leaf, PartitionSpec)  # noqa: E731
    whole = jax.tree.map(prefixed("seeds", "points"), specs, is_leaf=is_spec)
    once = {name: jax.tree.map(prefixed("seeds"), specs.carried[name], is_leaf=is_spec) for name in constant}
    return dataclasses.replace(whole, carried={**whole.carried, **once})


@partial(jax.jit, static_argnums=0)
def take_seed(sharding: NamedSharding, tree: PyTree, index: Array) -> PyTree:
    """What one seed has of a tree [seeds, ...]."""
    return jax.lax.with_sharding_constraint(jax.tree.map(lambda leaf: leaf[index], tree), sharding)


@partial(jax.jit, static_argnums=(0, 1))
def take_member(
    constant: tuple[str, ...], sharding: NamedSharding, state: TrainState, seed: Array, point: Array
) -> TrainState:
    """The state of one member of a population's."""
    once = {name: state.carried[name] for name in constant}
    taken = jax.tree.map(lambda leaf: leaf[seed, point], without(state, constant))
    carried = {**taken.carried, **jax.tree.map(lambda leaf: leaf[seed], once)}
    return jax.lax.with_sharding_constraint(dataclasses.replace(taken, carried=carried), sharding)
