"""Many members in one compiled program: a state with leading axes [seeds, points], and functions lifted over them.

A member is a seed and a point, the values of every other scalar that differs. Its step, its data order and its start
are written for one member alone; ``jax.vmap`` over points within ``jax.vmap`` over seeds makes them a population's.
What depends on the seed only is then computed once for all points: batches, augmentation, and a teacher that never
changes, which is also stored once. What such a teacher makes of images that never change is computed once for a run.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from repcon_jax.training.durations import Clock
from repcon_jax.training.lifting import Values, lift, map_axis, one_after_the_other, without
from repcon_jax.training.loop import TrainData, make_batch, run_chunk
from repcon_jax.training.mesh import place, placements
from repcon_jax.training.partition import Paths
from repcon_jax.training.schedules import Schedule
from repcon_jax.training.step import Inputs, Objective, TrainState, build_step, create_state, scalars_at
from repcon_jax.typing import Metrics, Params, PyTree


@struct.dataclass
class MemberValues:
    """What the members of a population differ in.

    Args:
        seeds: int32 [seeds].
        values: the entry ``point``, numbering the points, and for every scalar that differs its value at each point,
            [points].
    """

    seeds: PyTree
    values: dict[str, PyTree]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How every member is started and trained.

    Args:
        objective: what is minimised.
        schedules: values of one member, traced -> the schedules of the objective's scalars.
        optimiser: likewise -> the optimiser of what is trained.
        data: the training set, placed on the mesh.
        clock: length of the run and of an epoch.
        example: shape of a batch of images, for initialisation.
        accumulation: see ``build_step``.
        mesh: the devices.
        rules: what is sharded over the axis ``data``, see ``MeshConfig``.
        sequential: whether members are trained one after the other within the program, see ``MeshConfig``.
        remembers: whether what the objective can remember of the examples is computed once for the run.
        frozen: paths of the parameters that stand still.
    """

    objective: Objective
    schedules: Callable[[Values], dict[str, Schedule]]
    optimiser: Callable[[Values], optax.GradientTransformation]
    data: TrainData
    clock: Clock
    example: tuple[int, ...]
    accumulation: int
    mesh: Mesh
    rules: tuple[tuple[str, str], ...]
    sequential: bool = False
    remembers: bool = False
    frozen: Paths = frozenset()

    def initial_state(self, seed: Array, values: Values) -> TrainState:
        """The state of one member before its first step."""
        key, images = jax.random.key(seed), jnp.zeros(self.example)
        return create_state(
            self.objective, self.optimiser(values), key, images, self.schedules(values), frozen=self.frozen
        )

    def chunk(
        self, data: TrainData, state: TrainState, num_steps: Array, seed: Array, values: Values
    ) -> tuple[TrainState, Metrics]:
        """Steps of one member, see ``run_chunk``."""
        step = build_step(
            self.objective,
            self.optimiser(values),
            self.accumulation,
            schedules=self.schedules(values),
            frozen=self.frozen,
        )
        return run_chunk(step, self.clock, data, state, num_steps, jax.random.key(seed))

    def remember(self, data: TrainData, carried: PyTree, first: Array, values: Values) -> PyTree:
        """What the objective of one member remembers of a batch of consecutive examples, see ``Objective``."""
        # Beyond the last example gather repeats it. The views are the same for every key.
        batch = make_batch(data, first + jnp.arange(self.clock.batch_size), jax.random.key(0))
        scalars = scalars_at(self.schedules(values), 0)
        return self.objective.remember(Inputs({}, {}, carried, jnp.int32(0), scalars, batch))


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
        sharding = jax.tree.map(lambda _: _of_seeds(self.recipe, self.shape), remembered)
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
        return _take(self.constant, NamedSharding(self.recipe.mesh, PartitionSpec()), state, seed, point)

    def constant_of(self, state: TrainState, seed: int) -> dict[str, PyTree]:
        """What the state carries for all points of a seed, whole on every device."""
        carried = {name: state.carried[name] for name in self.constant}
        return _row(NamedSharding(self.recipe.mesh, PartitionSpec()), carried, seed)

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
        axes = tuple(_axes_of_state(self.shardings.carried, self.constant) if kind == "state" else 0 for kind in kinds)
        lifted = lift(function, self.shape, axes, (0,) * len(kinds), 0, _spread(self.recipe, self.shape))
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
    alone = jax.eval_shape(recipe.initial_state, *_of_one(members))
    constant = _constant(recipe, members, alone)
    spread = _spread(recipe, shape)
    shardings = _shardings(recipe, alone, spread, constant)
    axes = _axes_of_state(alone.carried, constant)
    start = lift(recipe.initial_state, shape, (None, 0), (0, None), axes, spread)
    remember, data = _remembering(recipe, members, alone, constant)
    if recipe.sequential and shape != (1, 1):
        run = one_after_the_other(recipe.chunk, shape, constant)
    else:
        of_data = _axes_of_data(data)
        run = lift(recipe.chunk, shape, (None, axes, None, None, 0), (of_data, 0, None, 0, None), (axes, 0), spread)
    replicated = NamedSharding(recipe.mesh, PartitionSpec())
    struct_of = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)  # noqa: E731
    state = jax.tree.map(struct_of, _enlarged(alone, shape, constant), shardings)
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
        name = "member" if _spread(recipe, shape) == "seeds" else None
        return map_axis(recipe.remember, (None, 0, None, None), 0, shape[0], name)(data, carried, first, values)

    enlarged = _enlarged(alone, shape, constant).carried
    carried = {name: enlarged[name] for name in constant}
    batch = jax.eval_shape(remember, recipe.data, carried, jnp.int32(0), _of_one(members)[1])
    count, sharding = len(recipe.data.images), _of_seeds(recipe, shape)
    remembered = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((shape[0], count, *leaf.shape[2:]), leaf.dtype, sharding=sharding), batch
    )
    jitted = jax.jit(remember, out_shardings=NamedSharding(recipe.mesh, PartitionSpec()))
    return jitted, dataclasses.replace(recipe.data, remembered=remembered)


def _of_seeds(recipe: Recipe, shape: tuple[int, int]) -> NamedSharding:
    return NamedSharding(recipe.mesh, PartitionSpec("member" if _spread(recipe, shape) == "seeds" else None))


def _axes_of_data(data: TrainData) -> TrainData | None:
    """Only what is remembered has an axis of seeds."""
    if data.remembered is None:
        return None
    return dataclasses.replace(data, images=None, labels=None, sources=None, remembered=0)


def _axes_of_state(carried: PyTree, constant: tuple[str, ...]) -> TrainState:
    """For every part of the state 0 where it has an axis of points, and None for what is constant."""
    return TrainState(0, 0, 0, 0, 0, {name: None if name in constant else 0 for name in carried})


def _enlarged(alone: TrainState, shape: tuple[int, int], constant: tuple[str, ...]) -> TrainState:
    """The shapes of a population's state from those of a member's."""

    def with_axes(*axes: int) -> Callable[[Any], jax.ShapeDtypeStruct]:
        return lambda leaf: jax.ShapeDtypeStruct((*axes, *leaf.shape), leaf.dtype)

    once = {name: jax.tree.map(with_axes(shape[0]), alone.carried[name]) for name in constant}
    whole = jax.tree.map(with_axes(*shape), alone)
    return dataclasses.replace(whole, carried={**whole.carried, **once})


def _stack(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _of_one(members: MemberValues) -> tuple[Any, Values]:
    return members.seeds[0], {name: values[0] for name, values in members.values.items()}


def _constant(recipe: Recipe, members: MemberValues, alone: TrainState) -> tuple[str, ...]:
    """Names of what never changes and starts the same at every point."""
    declared = recipe.objective.constant
    if not declared or len(members.values["point"]) == 1:
        return tuple(declared)
    start = jax.vmap(recipe.initial_state, (None, 0), _axes_of_state(alone.carried, declared))
    try:
        jax.eval_shape(start, *(members.seeds[0], jax.tree.map(lambda v: np.repeat(v[:1], 2), members.values)))
    except ValueError:  # vmap refuses a result without the axis on which it depends
        return ()
    return tuple(declared)


def _spread(recipe: Recipe, shape: tuple[int, int]) -> Literal["seeds", "points"]:
    return "points" if shape[1] % recipe.mesh.shape["member"] == 0 else "seeds"


def _shardings(
    recipe: Recipe, alone: TrainState, spread: Literal["seeds", "points"], constant: tuple[str, ...]
) -> TrainState:
    specs = placements(alone, recipe.mesh, recipe.rules)
    member = {name: "member" if name == spread else None for name in ("seeds", "points")}

    def prefixed(*axes: str) -> Callable[[PartitionSpec], NamedSharding]:
        return lambda spec: NamedSharding(recipe.mesh, PartitionSpec(*(member[axis] for axis in axes), *spec))

    is_spec = lambda leaf: isinstance(leaf, PartitionSpec)  # noqa: E731
    whole = jax.tree.map(prefixed("seeds", "points"), specs, is_leaf=is_spec)
    once = {name: jax.tree.map(prefixed("seeds"), specs.carried[name], is_leaf=is_spec) for name in constant}
    return dataclasses.replace(whole, carried={**whole.carried, **once})


@partial(jax.jit, static_argnums=0)
def _row(sharding: NamedSharding, tree: PyTree, index: Array) -> PyTree:
    return jax.lax.with_sharding_constraint(jax.tree.map(lambda leaf: leaf[index], tree), sharding)


@partial(jax.jit, static_argnums=(0, 1))
def _take(
    constant: tuple[str, ...], sharding: NamedSharding, state: TrainState, seed: Array, point: Array
) -> TrainState:
    once = {name: state.carried[name] for name in constant}
    taken = jax.tree.map(lambda leaf: leaf[seed, point], without(state, constant))
    carried = {**taken.carried, **jax.tree.map(lambda leaf: leaf[seed], once)}
    return jax.lax.with_sharding_constraint(dataclasses.replace(taken, carried=carried), sharding)
