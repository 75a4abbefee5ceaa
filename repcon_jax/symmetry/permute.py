"""Permuting the units of a network."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from repcon_jax.errors import TreeError
from repcon_jax.models.architecture import Axis
from repcon_jax.random import stream
from repcon_jax.symmetry.spec import PermutationSpec, as_blocks, split_shape
from repcon_jax.trees import map_named
from repcon_jax.typing import Key, PyTree

Permutations = Mapping[str, Int[Array, " _"] | Int[np.ndarray, " _"]]


def apply_permutation(spec: PermutationSpec, permutations: Permutations, tree: PyTree) -> PyTree:
    """The same network with its units in another order: unit i of a group is what was its unit permutations[group][i].

    Args:
        spec: covers the tree.
        permutations: for each group the new order of its units, [units]; may be traced.
        tree: params or model state of the network.
    Raises:
        TreeError: the spec does not cover a leaf, or a group has no permutation of its size.

    Source: Ainsworth et al., arXiv 2209.04836, section 2.

    >>> from repcon_jax.symmetry.spec import build_spec
    >>> bias = {"bias": jnp.array([1.0, 2.0, 3.0])}
    >>> spec = build_spec({"bias": ("units",)}, bias)
    >>> apply_permutation(spec, {"units": jnp.array([2, 0, 1])}, bias)["bias"].tolist()
    [3.0, 1.0, 2.0]
    """
    for group, size in spec.sizes.items():
        shape = jnp.shape(permutations[group]) if group in permutations else None
        if shape != (size,):
            given = "none" if shape is None else f"one of shape {shape}"
            raise TreeError(f"the group {group!r} needs a permutation of {size} units but has {given}; give it one.")

    def permute(name: str, leaf: Array) -> Array:
        if name not in spec.axes:
            raise TreeError(f"the permutation spec does not cover {name!r}; build it from this network's parameters.")
        for number, axis in enumerate(spec.axes[name]):
            leaf = _permute_axis(leaf, number, axis, permutations)
        return leaf

    return map_named(permute, tree)


def _permute_axis(leaf: Array, number: int, axis: Axis, permutations: Permutations) -> Array:
    if axis is None:
        return leaf
    split = jnp.reshape(leaf, split_shape(leaf.shape, number, axis))
    return jnp.take(split, permutations[as_blocks(axis).group], number + 1, mode="clip").reshape(leaf.shape)


def random_permutation(spec: PermutationSpec, key: Key) -> Permutations:
    """A uniformly random order for each group, int32 [units]; a group's depends on the key and its name alone."""
    return {group: jax.random.permutation(stream(key, group), size) for group, size in spec.sizes.items()}


def identity_permutation(spec: PermutationSpec) -> Permutations:
    """The order that each group has, int32 [units]."""
    return {group: jnp.arange(size) for group, size in spec.sizes.items()}


def inverse_permutation(permutations: Permutations) -> Permutations:
    """What undoes ``apply_permutation`` of ``permutations``.

    >>> inverse_permutation({"units": jnp.array([2, 0, 1])})["units"].tolist()
    [1, 2, 0]
    """
    return {group: jnp.argsort(order) for group, order in permutations.items()}
