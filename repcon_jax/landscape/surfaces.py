"""Which network, and which batch norm statistics, lie at a coordinate of a path or a plane."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.landscape.evaluation import BatchNorm
from repcon_jax.landscape.paths import Path
from repcon_jax.landscape.planes import Plane, map_to_tree
from repcon_jax.trees import combine
from repcon_jax.typing import ModelState, Params

PathSurface = tuple[Path, tuple[ModelState, ...]]
PlaneSurface = tuple[Plane, tuple[ModelState, ...]]


def states_for(batch_norm: BatchNorm, states: Sequence[ModelState]) -> tuple[ModelState, ...]:
    """The states that a surface needs: all of them where they are interpolated, otherwise the first."""
    return tuple(states) if batch_norm == "interpolated" else tuple(states[:1])


def on_path(surface: PathSurface, coordinate: Float[Array, "1"]) -> tuple[Params, ModelState]:
    """The network at a coordinate of a path."""
    path, states = surface
    return path(coordinate[0]), _state(states, lambda: path.weights(coordinate[0]))


def on_plane(surface: PlaneSurface, coordinate: Float[Array, "2"]) -> tuple[Params, ModelState]:
    """The network at a coordinate of a plane."""
    plane, states = surface
    return map_to_tree(plane, coordinate), _state(states, lambda: barycentric(plane.anchors, coordinate))


def barycentric(anchors: Float[Array, "3 2"], coordinate: Float[Array, "2"]) -> Float[Array, "3"]:
    """Weights of three points, which add up to 1, whose weighted mean is the coordinate.

    >>> corners = jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
    >>> barycentric(corners, jnp.array([1.0, 1.0])).tolist()
    [0.25, 0.5, 0.25]
    """
    (a, b), (c, d) = anchors[1] - anchors[0], anchors[2] - anchors[0]
    x, y = coordinate - anchors[0]
    area = a * d - b * c
    second, third = (x * d - y * c) / area, (y * a - x * b) / area
    return jnp.stack([1 - second - third, second, third])


def _state(states: tuple[ModelState, ...], weights: Any) -> ModelState:
    return states[0] if len(states) == 1 else combine(states, weights())
