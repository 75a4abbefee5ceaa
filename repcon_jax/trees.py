"""A tiny algebra of parameter trees; everything about dynamics, landscapes and tickets is built on it."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import CheckpointError
from repcon_jax.typing import PyTree


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves by their path, such as ``"encoder/conv1/kernel"``, in flatten order.

    >>> list(named_leaves({"b": {"x": 1}, "a": 2}))
    ['a', 'b/x']
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def map_named(function: Callable[[str, Any], Any], tree: PyTree) -> PyTree:
    """The tree of ``function(name, leaf)``, with names as in ``named_leaves``."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: function(jax.tree_util.keystr(path, simple=True, separator="/"), leaf), tree
    )


def lerp(start: PyTree, end: PyTree, weight: float | Float[Array, ""]) -> PyTree:
    """Linear interpolation (1 - weight) * start + weight * end, leaf by leaf.

    >>> lerp({"w": 0.0}, {"w": 4.0}, 0.25)
    {'w': 1.0}
    """
    return jax.tree.map(lambda a, b: (1 - weight) * a + weight * b, start, end)


def norm(tree: PyTree) -> Float[Array, ""]:
    """Euclidean norm of all leaves taken as one vector, accumulated in float32."""
    squares = [jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares, jnp.float32(0)))


def distance(first: PyTree, second: PyTree) -> Float[Array, ""]:
    """Euclidean distance ||first - second|| of two trees of one structure."""
    return norm(jax.tree.map(jnp.subtract, first, second))


def all_finite(tree: PyTree) -> Array:
    """Whether every floating-point entry of the tree is finite; a boolean of shape ()."""
    floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in floats]))


def signature(tree: PyTree) -> dict[str, list]:
    """Shape and dtype of every leaf by its path, as plain JSON values."""
    return {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in named_leaves(tree).items()}


def check_same_structure(found: Mapping[str, list], expected: Mapping[str, list], what: str, fix: str) -> None:
    """Raises CheckpointError naming the first path at which two tree signatures differ.

    Args:
        found, expected: results of ``signature``.
        what: what was read, for the message.
        fix: what the user can do, likewise.
    """
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            have, want = (str(s.get(name, "nothing")) for s in (found, expected))
            raise CheckpointError(f"{what} holds {have} at {name!r} where this config needs {want}; {fix}.")
