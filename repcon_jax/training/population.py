"""Many members in one compiled program: a state with leading axes [seeds, points], and functions lifted over them.

A member is a seed and a point, the values of every other scalar that differs. Its step, its data order and its start
are written for one member alone; ``jax.vmap`` over points within ``jax.vmap`` over seeds makes them a population's.
What depends on the seed only is then computed once for all points: batches, augmentation, and a teacher that never
changes, which is also stored once. What such a teacher makes of images that never change is computed once for a run.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from repcon_jax.training.layout import (
    axes_of_data,
    axes_of_state,
    constant_names,
    enlarged,
    of_seeds,
    shardings_of,
    spread_axis,
    take_member,
    take_seed,
)
from repcon_jax.training.lifting import Values, lift, map_axis, one_after_the_other
from repcon_jax.training.loop import TrainData
from repcon_jax.training.mesh import place
from repcon_jax.training.recipe import MemberValues, Recipe, first_member
from repcon_jax.training.step import TrainState
from repcon_jax.typing import Metrics, Params, PyTree


@dataclasses.dataclass(frozen=True)
class Population:
    """The compiled program of a population of one size.

    Args:
        recipe: of the run.
        shape: number of seeds and of points.
        template: shapes and types of the state of one member.
        shardings: of the state, leaf by leaf.
        constant: names in ``state.carried`` that have no axis of points.
        start: seeds and values -> the state before the first step.
        remember: data, constant part of what is carried, first example, values -> what is remembered of a batch,
            [seeds, batch, ...]; None where nothing is.
        shapes_remembered: of that for all examples, [seeds, examples, ...]; None likewise.
        compiled: the chunk.
    """

    recipe: Recipe
    shape: tuple[int, int]
    template: TrainState
    shardings: TrainState
    constant: tuple[str, ...]
    start: Callable[[Array, Values], TrainState]
    remember: Callable[..., PyTree] | None
    shapes_remembered: PyTree
    compiled: Any

    def initial_state(self, members: MemberValues) -> TrainState:
        """The state before the first step, [seeds, points, ...], made where it will lie."""
        return self.start(*self._arguments(members))

    def remembered(
        self, state: TrainState, members: MemberValues, between: Callable[[int], None] = lambda examples: None
    ) -> PyTree:
        """What the objective remembers of every example, [seeds, examples, ...], on the host; None for nothing.

        Args:
            state: of the population.
            members: its values.
            between: told the number of examples done; may raise to stop.
        """
        if self.remember is None:
            return None
        count, parts = len(self.recipe.data.images), []
        for first in range(0, count, self.recipe.clock.batch_size):
            between(first)
            part = self.remembered_batch(state, members, first)
            parts.append(jax.tree.map(lambda leaf: np.asarray(leaf)[:, : count - first], part))  # noqa: B023
        return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *parts)

    def remembered_batch(self, state: TrainState, members: MemberValues, first: int) -> PyTree:
        """What ``remembered`` gives for the batch of examples from ``first`` on, on the devices."""
        carried = {name: state.carried[name] for name in self.constant}
        values = {name: column[0] for name, column in members.values.items()}
        return self.remember(self.recipe.data, carried, *place(self.recipe.mesh, (np.int32(first), values)))

    def data_with(self, remembered: PyTree) -> TrainData:
        """The training set with what ``remembered`` gave, placed where a chunk takes it."""
        if remembered is None:
            return self.recipe.data
        sharding = jax.tree.map(lambda _: of_seeds(self.recipe, self.shape), remembered)
        return dataclasses.replace(self.recipe.data, remembered=place(self.recipe.mesh, remembered, sharding))

    def chunk(
        self, data: TrainData, state: TrainState, num_steps: int, members: MemberValues
    ) -> tuple[TrainState, Metrics]:
        """Steps within an epoch; the state is donated. Metrics are [seeds, points, steps per epoch].

        Args:
            data: from ``data_with``.
            state: from ``initial_state``, ``join`` or an earlier chunk.
            num_steps: must not lead beyond the end of the epoch.
            members: the members' values.
        """
        count = place(self.recipe.mesh, np.int32(num_steps))
        return self.compiled(data, state, count, *self._arguments(members))

    def member(self, state: TrainState, seed: int, point: int) -> TrainState:
        """The state of one member, whole on every device."""
        return take_member(self.constant, NamedSharding(self.recipe.mesh, PartitionSpec()), state, seed, point)

    def constant_of(self, state: TrainState, seed: int) -> dict[str, PyTree]:
        """What the state carries for all points of a seed, whole on every device."""
        carried = {name: state.carried[name] for name in self.constant}
        return take_seed(NamedSharding(self.recipe.mesh, PartitionSpec()), carried, seed)

    def join(self, states: list[list[TrainState]]) -> TrainState:
        """The state of the population from those of its members, [seeds][points], on the host."""
        joined = _stack([_stack(row) for row in states])
        once = {name: _stack([row[0].carried[name] for row in states]) for name in self.constant}
        joined = dataclasses.replace(joined, carried={**joined.carried, **once})
        return place(self.recipe.mesh, joined, self.shardings)

    def join_params(self, params: list[list[Params]]) -> Params:
        """The parameters of the population from those of its members, likewise."""
        return place(self.recipe.mesh, _stack([_stack(row) for row in params]), self.shardings.params)

    def over_members(self, function: Callable[..., Any], *kinds: Literal["state", "params"]) -> Callable[..., Any]:
        """The compiled function of a population's trees from one of a member's; its results are [seeds, points, ...].

        Args:
            function: of the state or the parameters of a member.
            kinds: which of the two each of its arguments is.
        """
        axes = tuple(axes_of_state(self.shardings.carried, self.constant) if kind == "state" else 0 for kind in kinds)
        lifted = lift(function, self.shape, axes, (0,) * len(kinds), 0, spread_axis(self.recipe, self.shape))
        return jax.jit(lifted, out_shardings=NamedSharding(self.recipe.mesh, PartitionSpec()))

    def bytes_per_device(self) -> int:
        """Memory that a run needs on each device, with its data and the copy of its first parameters."""
        memory = self.compiled.memory_analysis()
        program = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        params = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.template.params))
        members = math.ceil(math.prod(self.shape) / self.recipe.mesh.shape["member"])
        return program + memory.temp_size_in_bytes + members * params

    def _arguments(self, members: MemberValues) -> tuple[Array, Values]:
        return place(self.recipe.mesh, members.seeds), place(self.recipe.mesh, members.values)


def compile_population(recipe: Recipe, members: MemberValues) -> Population:
    """Compiles the program that trains all of ``members``, whose values may be replaced but not their number."""
    shape = len(members.seeds), len(members.values["point"])
    alone = jax.eval_shape(recipe.initial_state, *first_member(members))
    constant = constant_names(recipe, members, alone)
    spread = spread_axis(recipe, shape)
    shardings = shardings_of(recipe, alone, spread, constant)
    axes = axes_of_state(alone.carried, constant)
    start = lift(recipe.initial_state, shape, (None, 0), (0, None), axes, spread)
    remember, data = _remembering(recipe, members, alone, constant)
    if recipe.sequential and shape != (1, 1):
        run = one_after_the_other(recipe.chunk, shape, constant)
    else:
        of_data = axes_of_data(data)
        run = lift(recipe.chunk, shape, (None, axes, None, None, 0), (of_data, 0, None, 0, None), (axes, 0), spread)
    replicated = NamedSharding(recipe.mesh, PartitionSpec())
    struct_of = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)  # noqa: E731
    state = jax.tree.map(struct_of, enlarged(alone, shape, constant), shardings)
    count, seeds, values = jax.tree.map(
        lambda leaf: struct_of(np.asarray(leaf), replicated), (np.int32(0), members.seeds, members.values)
    )
    jitted = jax.jit(run, donate_argnums=1, out_shardings=(shardings, replicated))
    compiled = jitted.lower(data, state, count, seeds, values).compile()
    start = jax.jit(start, out_shardings=shardings)
    return Population(recipe, shape, alone, shardings, constant, start, remember, data.remembered, compiled)


def _remembering(
    recipe: Recipe, members: MemberValues, alone: TrainState, constant: tuple[str, ...]
) -> tuple[Callable[..., PyTree] | None, TrainData]:
    """See ``Population.remember``; and the training set with the shapes of what is remembered."""
    if not recipe.remembers or not set(recipe.objective.constant) <= set(constant):
        return None, recipe.data
    shape = len(members.seeds), len(members.values["point"])

    def remember(data: TrainData, carried: PyTree, first: Array, values: Values) -> PyTree:
        if recipe.sequential and shape[0] > 1:
            return jax.lax.map(lambda its: recipe.remember(data, its, first, values), carried)
        name = "member" if spread_axis(recipe, shape) == "seeds" else None
        return map_axis(recipe.remember, (None, 0, None, None), 0, shape[0], name)(data, carried, first, values)

    whole = enlarged(alone, shape, constant).carried
    carried = {name: whole[name] for name in constant}
    batch = jax.eval_shape(remember, recipe.data, carried, jnp.int32(0), first_member(members)[1])
    count, sharding = len(recipe.data.images), of_seeds(recipe, shape)
    remembered = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((shape[0], count, *leaf.shape[2:]), leaf.dtype, sharding=sharding), batch
    )
    jitted = jax.jit(remember, out_shardings=NamedSharding(recipe.mesh, PartitionSpec()))
    return jitted, dataclasses.replace(recipe.data, remembered=remembered)


def _stack(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
