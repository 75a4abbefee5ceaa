"""Functions of one member as functions of a population, whose trees have leading axes [seeds, points]."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from repcon_jax.training.loop import TrainData
from repcon_jax.training.step import TrainState
from repcon_jax.typing import Metrics, PyTree

Values = dict[str, Any]


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
            its_values = {name: values[name][point] for name in values}
            its_data = dataclasses.replace(data, remembered=jax.tree.map(lambda leaf: leaf[seed], data.remembered))
            member, metrics = chunk(its_data, member, num_steps, seeds[seed], its_values)
            return without(member, constant), metrics

        def body(i: Array, population: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            place = i // shape[1], i % shape[1]
            member = of_member(jax.tree.map(lambda leaf: leaf[place], population[0]), *place)
            return jax.tree.map(lambda leaf, new: leaf.at[place].set(new), population, member)

        moving = without(state, constant)
        shapes = jax.eval_shape(of_member, jax.tree.map(lambda leaf: leaf[0, 0], moving), jnp.int32(0), jnp.int32(0))
        metrics = jax.tree.map(lambda leaf: jnp.zeros((*shape, *leaf.shape), leaf.dtype), shapes[1])
        moving, metrics = jax.lax.fori_loop(0, shape[0] * shape[1], body, (moving, metrics))
        carried = {**moving.carried, **once}
        return dataclasses.replace(moving, carried={name: carried[name] for name in state.carried}), metrics

    return run


def without(state: TrainState, names: tuple[str, ...]) -> TrainState:
    """The state without some of what it carries."""
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
    inner = map_axis(function, over_points, out_over_points, shape[1], names["points"])
    return map_axis(inner, over_seeds, 0, shape[0], names["seeds"])


def map_axis(
    function: Callable[..., Any], in_axes: tuple[Any, ...], out_axes: Any, size: int, name: str | None
) -> Callable[..., Any]:
    """``jax.vmap`` of a function, or the function itself with an axis of one; see ``lift``."""
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
