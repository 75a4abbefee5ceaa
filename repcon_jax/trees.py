"""A tiny algebra of parameter trees; everything about dynamics, landscapes and tickets is built on it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from repcon_jax.errors import CheckpointError, TreeError
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


def combine(trees: Sequence[PyTree], weights: Sequence[float | Array] | Float[Array, " trees"]) -> PyTree:
    """The linear combination sum_i weights[i] * trees[i], leaf by leaf.

    >>> combine([{"w": 1.0}, {"w": 10.0}], [2.0, 0.5])
    {'w': 7.0}
    """
    return jax.tree.map(lambda *leaves: sum(w * leaf for w, leaf in zip(weights, leaves, strict=True)), *trees)


def dot(first: PyTree, second: PyTree) -> Float[Array, ""]:
    """Inner product of two trees of one structure taken as vectors, accumulated in float32.

    >>> float(dot({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([3.0, 4.0])}))
    11.0
    """
    products = jax.tree.map(
        lambda a, b: jnp.sum(a.astype(jnp.float32) * b.astype(jnp.float32), dtype=jnp.float32), first, second
    )
    return sum(jax.tree.leaves(products), jnp.float32(0))


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


def pack_bits(leaf: Any) -> np.ndarray:
    """Booleans of any shape as bits, uint8 [ceil(entries / 8)] in row-major order.

    >>> pack_bits(np.array([[True, False], [True, True]])).tolist()
    [176]
    """
    return np.packbits(np.asarray(leaf, bool).ravel())


def unpack_bits(bits: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of ``pack_bits`` for booleans of a shape.

    >>> unpack_bits(np.array([176], np.uint8), (2, 2)).tolist()
    [[True, False], [True, True]]
    """
    return np.unpackbits(np.asarray(bits), count=math.prod(shape)).astype(bool).reshape(shape)


def signature(tree: PyTree) -> dict[str, list]:
    """Shape and dtype of every leaf by its path, as plain JSON values."""
    return {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in named_leaves(tree).items()}


def check_same_structure(stored: Mapping[str, list], expected: Mapping[str, list], what: str, fix: str) -> None:
    """Raises CheckpointError naming the first path at which two tree signatures differ.

    Args:
        stored, expected: results of ``signature``.
        what: what was read, for the message.
        fix: what the user can do, likewise.
    """
    for name in [*expected, *stored]:
        if stored.get(name) != expected.get(name):
            have, want = (str(s.get(name, "nothing")) for s in (stored, expected))
            raise CheckpointError(f"{what} holds {have} at {name!r} where this config needs {want}; {fix}.")


def check_same_shapes(trees: Mapping[str, PyTree]) -> None:
    """Raises TreeError naming the first path at which a tree differs from the first one in structure or shape.

    Args:
        trees: by the names that the message gives them.

    >>> check_same_shapes({"a": {"w": jnp.zeros(2)}, "b": {"w": jnp.zeros(3)}})
    Traceback (most recent call last):
        ...
    repcon_jax.errors.TreeError: 'b' has shape (3,) at 'w' where 'a' has (2,); take networks of one architecture.
    """
    (first, reference), *others = ((name, named_leaves(tree)) for name, tree in trees.items())
    for other, leaves in others:
        for name in [*reference, *leaves]:
            have, want = (jnp.shape(tree[name]) if name in tree else None for tree in (leaves, reference))
            if have != want:
                described = "nothing" if have is None else f"shape {have}"
                raise TreeError(
                    f"{other!r} has {described} at {name!r} where {first!r} has {'nothing' if want is None else want}; "
                    "take networks of one architecture."
                )
