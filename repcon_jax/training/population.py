"""Many members in one compiled program: a state with leading axes [seeds, points], and functions lifted over them.

A member is a seed and a point, the values of every other scalar that differs. Its step, its data order and its start
are written for one member alone; ``jax.vmap`` over points within ``jax.vmap`` over seeds makes them a population's.
What depends on the seed only is then computed once for all points: batches, augmentation, and a teacher that never
changes, which is also stored once.
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
from repcon_jax.training.loop import TrainData, run_chunk
from repcon_jax.training.mesh import place, placements
from repcon_jax.training.step import Objective, TrainState, build_step, create_state
from repcon_jax.typing import Metrics, Params, PyTree

Values = dict[str, Any]
Method = Callable[[Values], tuple[Objective, optax.GradientTransformation]]


@struct.dataclass
class Members:
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
    """A run without its members.

    Args:
        method: values of one member, traced -> objective and optimiser.
        data: the training set, placed on the mesh.
        clock: length of the run and of an epoch.
        example: shape of a normalised batch, for initialisation.
        accumulation: see ``build_step``.
        mesh: the devices.
        rules: what is sharded over the axis ``data``, see ``MeshConfig``.
        sequential: whether members are trained one after the other within the program, see ``MeshConfig``.
    """

    method: Method
    data: TrainData
    clock: Clock
    example: tuple[int, ...]
    accumulation: int
    mesh: Mesh
    rules: tuple[tuple[str, str], ...]
    sequential: bool = False

    def initial_state(self, seed: Array, values: Values) -> TrainState:
        """The state of one member before its first step."""
        objective, optimiser = self.method(values)
        return create_state(objective, optimiser, jax.random.key(seed), jnp.zeros(self.example))

    def chunk(
        self, data: TrainData, state: TrainState, num_steps: Array, seed: Array, values: Values
    ) -> tuple[TrainState, Metrics]:
        """Steps of one member, see ``run_chunk``."""
        step = build_step(*self.method(values), self.accumulation)
        return run_chunk(step, self.clock, data, state, num_steps, jax.random.key(seed))


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
        compiled: the chunk.
    """

    recipe: Recipe
    shape: tuple[int, int]
    template: TrainState
    shardings: TrainState
    constant: tuple[str, ...]
    start: Callable[[Array, Values], TrainState]
    compiled: Any

    def initial_state(self, members: Members) -> TrainState:
        """The state before the first step, [seeds, points, ...], made where it will lie."""
        return self.start(*self._arguments(members))

    def chunk(self, state: TrainState, num_steps: int, members: Members) -> tuple[TrainState, Metrics]:
        """Steps within an epoch; the state is donated. Metrics are [seeds, points, steps per epoch]."""
        count = place(self.recipe.mesh, np.int32(num_steps))
        return self.compiled(self.recipe.data, state, count, *self._arguments(members))

    def member(self, state: TrainState, seed: int, point: int) -> TrainState:
        """The state of one member, whole on every device."""
        return _take(self.constant, NamedSharding(self.recipe.mesh, PartitionSpec()), state, seed, point)

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
        found = self.compiled.memory_analysis()
        program = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
        params = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.template.params))
        members = math.ceil(math.prod(self.shape) / self.recipe.mesh.shape["member"])
        return program + found.temp_size_in_bytes + members * params

    def _arguments(self, members: Members) -> tuple[Array, Values]:
        return place(self.recipe.mesh, members.seeds), place(self.recipe.mesh, members.values)


def compile_population(recipe: Recipe, members: Members) -> Population:
    """Compiles the program that trains all of ``members``, whose values may be replaced but not their number."""
    shape = len(members.seeds), len(members.values["point"])
    alone = jax.eval_shape(recipe.initial_state, *_of_one(members))
    constant = _constant(recipe, members, alone)
    spread = _spread(recipe, shape)
    shardings = _shardings(recipe, alone, spread, constant)
    axes = _axes_of_state(alone.carried, constant)
    start = lift(recipe.initial_state, shape, (None, 0), (0, None), axes, spread)
    if recipe.sequential and shape != (1, 1):
        run = one_after_the_other(recipe.chunk, shape, constant)
    else:
        run = lift(recipe.chunk, shape, (None, axes, None, None, 0), (None, 0, None, 0, None), (axes, 0), spread)
    replicated = NamedSharding(recipe.mesh, PartitionSpec())
    struct_of = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)  # noqa: E731
    state = jax.tree.map(struct_of, _enlarged(alone, shape, constant), shardings)
    count, seeds, values = jax.tree.map(
        lambda leaf: struct_of(np.asarray(leaf), replicated), (np.int32(0), members.seeds, members.values)
    )
    jitted = jax.jit(run, donate_argnums=1, out_shardings=(shardings, replicated))
    compiled = jitted.lower(recipe.data, state, count, seeds, values).compile()
    return Population(recipe, shape, alone, shardings, constant, jax.jit(start, out_shardings=shardings), compiled)


def one_after_the_other(
    chunk: Callable[..., tuple[TrainState, Metrics]], shape: tuple[int, int], constant: tuple[str, ...]
) -> Callable[..., tuple[TrainState, Metrics]]:
    """The chunk of a population as a loop over its members, with the memory of one.

    Args:
        chunk: of one member.
        shape: number of seeds and of points.
        constant: names in ``state.carried`` that have no axis of points.
    """

    def run(
        data: TrainData, state: TrainState, num_steps: Array, seeds: Array, values: Values
    ) -> tuple[TrainState, Metrics]:
        once = {name: state.carried[name] for name in constant}

        @partial(jax.jit, inline=True)  # so that the chunk is traced once for its shapes and for the loop
        def of_member(moving: TrainState, seed: Array, point: Array) -> tuple[TrainState, Metrics]:
            carried = {**moving.carried, **jax.tree.map(lambda leaf: leaf[seed], once)}
            member = dataclasses.replace(moving, carried={name: carried[name] for name in state.carried})
            found = {name: values[name][point] for name in values}
            member, metrics = chunk(data, member, num_steps, seeds[seed], found)
            return _without(member, constant), metrics

        def body(i: Array, population: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            place = i // shape[1], i % shape[1]
            member = of_member(jax.tree.map(lambda leaf: leaf[place], population[0]), *place)
            return jax.tree.map(lambda leaf, new: leaf.at[place].set(new), population, member)

        moving = _without(state, constant)
        shapes = jax.eval_shape(of_member, jax.tree.map(lambda leaf: leaf[0, 0], moving), jnp.int32(0), jnp.int32(0))
        metrics = jax.tree.map(lambda leaf: jnp.zeros((*shape, *leaf.shape), leaf.dtype), shapes[1])
        moving, metrics = jax.lax.fori_loop(0, shape[0] * shape[1], body, (moving, metrics))
        carried = {**moving.carried, **once}
        return dataclasses.replace(moving, carried={name: carried[name] for name in state.carried}), metrics

    return run


def _without(state: TrainState, names: tuple[str, ...]) -> TrainState:
    return dataclasses.replace(state, carried={n: v for n, v in state.carried.items() if n not in names})


def lift(
    function: Callable[..., Any],
    shape: tuple[int, int],
    over_points: tuple[Any, ...],
    over_seeds: tuple[Any, ...],
    out_over_points: Any,
    spread: Literal["seeds", "points"],
) -> Callable[..., Any]:
    """The function of one member as a function of a population.

    Args:
        function: of one member.
        shape: number of seeds and of points.
        over_points, over_seeds: for each argument 0 where it has an axis of points (seeds), None where it has not, or
            a tree of these.
        out_over_points: likewise for the result, which has an axis of seeds throughout.
        spread: which of the two axes lies on the mesh's axis ``member``.
    """
    names = {name: "member" if name == spread else None for name in ("seeds", "points")}
    inner = _map_axis(function, over_points, out_over_points, shape[1], names["points"])
    return _map_axis(inner, over_seeds, 0, shape[0], names["seeds"])


def _map_axis(
    function: Callable[..., Any], in_axes: tuple[Any, ...], out_axes: Any, size: int, name: str | None
) -> Callable[..., Any]:
    if size > 1:
        return jax.vmap(function, in_axes, out_axes, spmd_axis_name=name)

    # A single member is the function itself: vmap would turn its convolutions and products into batched ones.
    def single(*arguments: Any) -> Any:
        pairs = zip(in_axes, arguments, strict=True)
        given = (_at_axes(axes, argument, lambda leaf: leaf[0]) for axes, argument in pairs)
        return _at_axes(out_axes, function(*given), lambda leaf: leaf[None])

    return single


def _at_axes(axes: Any, tree: PyTree, function: Callable[[Array], Array]) -> PyTree:
    """The tree with ``function`` applied below every 0 of a prefix tree of axes."""
    return jax.tree.map(
        lambda axis, part: part if axis is None else jax.tree.map(function, part),
        axes,
        tree,
        is_leaf=lambda axis: axis is None,
    )


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


def _of_one(members: Members) -> tuple[Any, Values]:
    return members.seeds[0], {name: values[0] for name, values in members.values.items()}


def _constant(recipe: Recipe, members: Members, alone: TrainState) -> tuple[str, ...]:
    """Names of what never changes and starts the same at every point."""
    declared = recipe.method(_of_one(members)[1])[0].constant
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


@partial(jax.jit, static_argnums=(0, 1))
def _take(
    constant: tuple[str, ...], sharding: NamedSharding, state: TrainState, seed: Array, point: Array
) -> TrainState:
    once = {name: state.carried[name] for name in constant}
    taken = jax.tree.map(lambda leaf: leaf[seed, point], _without(state, constant))
    carried = {**taken.carried, **jax.tree.map(lambda leaf: leaf[seed], once)}
    return jax.lax.with_sharding_constraint(dataclasses.replace(taken, carried=carried), sharding)
