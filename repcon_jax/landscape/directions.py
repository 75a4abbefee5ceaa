"""Directions in parameter space: at random, scaled like a network's filters, and the main ones of a trajectory."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from repcon_jax.errors import TreeError
from repcon_jax.random import stream
from repcon_jax.trees import check_same_shapes, map_named, norm
from repcon_jax.typing import Key, Params, PyTree

_ROUNDING = 4 * float(np.finfo(np.float32).eps)


def random_direction(key: Key, like: Params) -> PyTree:
    """Independent standard normal entries, float32, in the structure of ``like``; each leaf from its own stream."""
    return map_named(lambda name, leaf: jax.random.normal(stream(key, name), leaf.shape), like)


def filter_norms(params: Params) -> PyTree:
    """The Euclidean norm of every filter, in shapes that broadcast against the parameters.

    A filter is all that feeds one output channel: a kernel's entries at one index of its last axis, as Flax orders
    them. Every leaf of two or more axes counts as a kernel, so also a transformer's position embedding, with one
    filter per feature. Leaves of fewer axes (biases, scales of normalisations) have no filters and get 0.

    >>> filter_norms({"kernel": jnp.array([[3.0, 0.0], [4.0, 2.0]]), "bias": jnp.ones(2)})["kernel"].tolist()
    [[5.0, 2.0]]
    """
    return jax.tree.map(
        lambda leaf: _norms(leaf, range(leaf.ndim - 1)) if leaf.ndim > 1 else jnp.zeros_like(leaf), params
    )


def filter_normalise(direction: PyTree, reference: Params) -> PyTree:
    """A direction whose every filter has the norm of the network's own.

        d_ij <- d_ij ||theta_ij|| / ||d_ij||

    for filter j of layer i, so that a step means the same for networks that differ by the scale of their filters
    only. Biases and the scales and shifts of normalisations are not moved: leaves of fewer than two axes become 0.

    Args:
        direction: any tree of the structure of ``reference``, such as ``random_direction``.
        reference: theta; filters are those of ``filter_norms``.

    Source: Visualizing the Loss Landscape of Neural Nets (arXiv 1712.09913), section 4.
    """
    return _rescale(direction, reference, lambda leaf: range(leaf.ndim - 1))


def layer_normalise(direction: PyTree, reference: Params) -> PyTree:
    """As ``filter_normalise``, with the norm of each whole kernel instead of each of its filters."""
    return _rescale(direction, reference, lambda leaf: range(leaf.ndim))


def principal_directions(
    trajectory: Sequence[Params] | PyTree, centre: Params | None = None, count: int = 2
) -> tuple[list[PyTree], Float[Array, " count"]]:
    """The directions along which a trajectory varies most, by principal component analysis.

    With rows x_t = theta_t - centre of X, the eigenvectors w_k of the small matrix X X^T, [points, points], give the
    directions X^T w_k / sqrt(lambda_k); sums are in float64 on the host.

    Args:
        trajectory: a list or tuple of networks, or one tree whose leaves have a leading axis of points.
        centre: what is subtracted; None is the mean of the points, and arXiv 1712.09913 takes the last one.
        count: number of directions.
    Returns:
        The directions, float32 trees of norm 1, by descending variance, each of the sign that gives its most distant
        point a positive coordinate; and the fraction lambda_k / sum_j lambda_j of the squared distances from the
        centre that each explains, [count].
    Raises:
        TreeError: the trees differ in structure or shape, or vary along fewer than ``count`` directions beyond float32
            rounding.

    Source: arXiv 1712.09913, section 7.2.
    """
    points = trajectory if isinstance(trajectory, list | tuple) else _unstack(trajectory)
    named = {f"point {index}": point for index, point in enumerate(points)}
    check_same_shapes(named if centre is None else named | {"centre": centre})
    columns = list(zip(*(jax.tree.leaves(point) for point in points), strict=True))
    middles = [None] * len(columns) if centre is None else jax.tree.leaves(centre)
    # One leaf at a time, because all of them in float64 would take twice the memory of the trajectory.
    gram = sum(offset @ offset.T for offset in map(_offsets, columns, middles))
    rounding = _ROUNDING * max(float(norm(point)) for point in points)
    values, vectors = _leading(gram, count, rounding)
    leaves = [
        (offset.T @ (vectors / np.sqrt(values))).T.reshape(count, *jnp.shape(column[0]))
        for column, offset in zip(columns, map(_offsets, columns, middles), strict=True)
    ]
    structure = jax.tree.structure(points[0])
    directions = [
        jax.tree.unflatten(structure, [jnp.asarray(leaf[index], jnp.float32) for leaf in leaves])
        for index in range(count)
    ]
    return directions, jnp.asarray(values / np.trace(gram), jnp.float32)


def _rescale(direction: PyTree, reference: Params, axes: Callable[[Array], range]) -> PyTree:
    check_same_shapes({"reference": reference, "direction": direction})

    def rescale(leaf: Array, like: Array) -> Array:
        if like.ndim < 2:
            return jnp.zeros_like(leaf)
        length = _norms(leaf, axes(leaf))
        return leaf * jnp.where(length > 0, _norms(like, axes(like)) / jnp.where(length > 0, length, 1.0), 0.0)

    return jax.tree.map(rescale, direction, reference)


def _norms(leaf: Array, axes: range) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(leaf), axis=tuple(axes), keepdims=True))


def _unstack(tree: PyTree) -> list[PyTree]:
    on_host = jax.tree.map(np.asarray, tree)
    return [jax.tree.map(lambda leaf, at=index: leaf[at], on_host) for index in range(len(jax.tree.leaves(on_host)[0]))]


def _offsets(column: tuple[Any, ...], middle: Any) -> np.ndarray:
    """One leaf of all points less its centre, [points, entries] in float64."""
    values = np.stack([np.asarray(leaf).astype(np.float64).ravel() for leaf in column])
    return values - (values.mean(axis=0) if middle is None else np.asarray(middle).astype(np.float64).ravel())


def _leading(gram: np.ndarray, count: int, rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """The leading eigenvalues and eigenvectors, these as columns whose largest entry is positive."""
    values, vectors = np.linalg.eigh(gram)
    available = int(np.sum(np.sqrt(np.maximum(values, 0.0)) > rounding))
    if not 1 <= count <= available:
        raise TreeError(
            f"the trajectory of {len(gram)} points varies along {available} directions beyond float32 rounding where "
            f"{count} are asked for; take at least 1, or more points that differ."
        )
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    return values, vectors * np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(count)])
