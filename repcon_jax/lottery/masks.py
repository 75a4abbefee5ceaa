"""Masks: trees of booleans with the structure of the parameters, True where an entry is kept."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import TreeError
from repcon_jax.random import stream
from repcon_jax.trees import check_same_shapes, map_named, named_leaves
from repcon_jax.typing import Key, Params, PyTree


def full_mask(params: Params) -> PyTree:
    """The mask that keeps every entry.

    >>> full_mask({"w": jnp.zeros(2)})["w"].tolist()
    [True, True]
    """
    return jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)


def check_mask(mask: PyTree, params: Params) -> None:
    """Raises TreeError naming the first path at which a mask does not fit the parameters or is not boolean.

    >>> check_mask({"w": jnp.ones(2)}, {"w": jnp.zeros(2)})
    Traceback (most recent call last):
        ...
    repcon_jax.errors.TreeError: the mask is float32 at 'w' but must be boolean; compare it, as in mask != 0.
    """
    check_same_shapes({"params": params, "mask": mask})
    for name, leaf in named_leaves(mask).items():
        dtype = np.dtype(getattr(leaf, "dtype", type(leaf)))
        if dtype.kind != "b":
            raise TreeError(f"the mask is {dtype} at {name!r} but must be boolean; compare it, as in mask != 0.")


def counts(mask: PyTree) -> dict[str, tuple[int, int]]:
    """How many entries each leaf keeps and has, as exact integers (kept, total) by path.

    >>> counts({"w": jnp.array([True, False, True])})
    {'w': (2, 3)}
    """
    return {name: (int(np.count_nonzero(leaf)), int(np.size(leaf))) for name, leaf in named_leaves(mask).items()}


def density(mask: PyTree, prunable: PyTree | None = None) -> float:
    """The fraction of entries that are kept.

    Args:
        mask: booleans.
        prunable: a tree of one Python bool per leaf; only leaves that are True count. None counts all.

    >>> density({"b": jnp.array([True]), "w": jnp.array([True, False])}, {"b": False, "w": True})
    0.5
    """
    counted = None if prunable is None else named_leaves(prunable)
    pairs = [pair for name, pair in counts(mask).items() if counted is None or counted[name]]
    return sum(kept for kept, _ in pairs) / sum(total for _, total in pairs)


def sparsity(mask: PyTree, prunable: PyTree | None = None) -> float:
    """The fraction of entries that are pruned, 1 - ``density``."""
    return 1.0 - density(mask, prunable)


def layer_densities(mask: PyTree) -> dict[str, float]:
    """The fraction of entries that each leaf keeps, by path.

    >>> layer_densities({"w": jnp.array([True, False])})
    {'w': 0.5}
    """
    return {name: kept / total for name, (kept, total) in counts(mask).items()}


def empty_layers(mask: PyTree) -> list[str]:
    """The paths of the leaves that have entries and keep none: such a layer passes nothing on.

    >>> empty_layers({"b": jnp.array([True]), "w": jnp.array([False, False])})
    ['w']
    """
    return [name for name, (kept, total) in counts(mask).items() if total and not kept]


def union(first: PyTree, second: PyTree) -> PyTree:
    """What either mask keeps; raises TreeError where they differ in structure or shape."""
    _check_pair(first, second)
    return jax.tree.map(jnp.logical_or, first, second)


def intersection(first: PyTree, second: PyTree) -> PyTree:
    """What both masks keep; raises TreeError where they differ in structure or shape."""
    _check_pair(first, second)
    return jax.tree.map(jnp.logical_and, first, second)


def is_nested(inner: PyTree, outer: PyTree) -> bool:
    """Whether the outer mask keeps all that the inner one keeps; raises TreeError where they do not fit.

    >>> is_nested({"w": jnp.array([True, False])}, {"w": jnp.array([True, True])})
    True
    """
    _check_pair(inner, outer)
    pairs = zip(jax.tree.leaves(inner), jax.tree.leaves(outer), strict=True)
    return all(bool(np.all(np.asarray(outside) | ~np.asarray(inside))) for inside, outside in pairs)


def hamming_distance(first: PyTree, second: PyTree) -> tuple[int, float]:
    """In how many entries two masks differ, and which fraction of all entries that is.

    Raises:
        TreeError: the masks differ in structure or shape.

    >>> hamming_distance({"w": jnp.array([True, False])}, {"w": jnp.array([True, True])})
    (1, 0.5)
    """
    _check_pair(first, second)
    pairs = list(zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))
    differing = sum(int(np.count_nonzero(np.asarray(a) != np.asarray(b))) for a, b in pairs)
    return differing, differing / sum(int(np.size(a)) for a, _ in pairs)


def mask_agreement(first: PyTree, second: PyTree) -> float:
    """Intersection over union |A and B| / |A or B| of what two masks keep; 1 where both keep nothing.

    Raises:
        TreeError: the masks differ in structure or shape.

    >>> mask_agreement({"w": jnp.array([True, False])}, {"w": jnp.array([True, True])})
    0.5
    """
    both, either = (_kept(combined(first, second)) for combined in (intersection, union))
    return both / either if either else 1.0


def sign_agreement(first: Params, second: Params, mask: PyTree) -> float:
    """The fraction of a mask's kept entries in which two networks have the same sign.

    Zero is a sign of its own. NaN where the mask keeps nothing, since nothing was compared.

    Args:
        first, second: parameters of one architecture.
        mask: the entries to compare; for two tickets the ``intersection`` of their masks.
    Raises:
        TreeError: the trees differ in structure or shape, or the mask is not boolean.

    >>> both = {"w": jnp.array([True, True, False])}
    >>> sign_agreement({"w": jnp.array([1.0, 2.0, 3.0])}, {"w": jnp.array([5.0, -1.0, 1.0])}, both)
    0.5
    """
    check_same_shapes({"first": first, "second": second})
    check_mask(mask, first)
    equal = jax.tree.map(lambda a, b: np.sign(np.asarray(a)) == np.sign(np.asarray(b)), first, second)
    compared = _kept(mask)
    return _kept(intersection(equal, mask)) / compared if compared else math.nan


def shuffle_within_layers(mask: PyTree, key: Key) -> PyTree:
    """A mask that keeps as many entries of every leaf, but others, at random.

    What a ticket owes to its layerwise densities alone: the control of arXiv 2009.08576, "random shuffling".

    Args:
        mask: booleans.
        key: every leaf draws from its own stream.
    """
    return map_named(lambda name, leaf: _shuffle(leaf, stream(key, name)), mask)


def _shuffle(leaf: Any, key: Key) -> Any:
    # A leaf that is kept whole has one arrangement only, and drawing it would be another compiled program.
    if np.all(leaf):
        return leaf
    return jax.random.permutation(key, jnp.ravel(leaf)).reshape(leaf.shape)


def _kept(mask: PyTree) -> int:
    return sum(kept for kept, _ in counts(mask).values())


def _check_pair(first: PyTree, second: PyTree) -> None:
    check_same_shapes({"first mask": first, "second mask": second})
