"""A network as a value."""

import jax
import jax.numpy as jnp

from repcon_jax.trees import named_leaves
from repcon_jax.typing import ModelState, Params, PyTree

Start = tuple[Params, ModelState]


def grafted(fresh: Start, found: Start) -> Start:
    """The parameters and model state found, with the fresh ones for every part that is missing or of another shape.

    Args:
        fresh: of the model that is trained, with the parts ``encoder`` and ``head``.
        found: of a checkpoint.
    """
    return fitting(fresh[0], found[0]), fitting(fresh[1], found[1])


def fitting(fresh: PyTree, found: PyTree) -> PyTree:
    """The parts of one tree found, with the fresh ones for every part that is missing or of another shape."""
    return {part: _fitting(new, found.get(part, {})) for part, new in fresh.items()}


def _fitting(new: PyTree, old: PyTree) -> PyTree:
    shapes = [{name: leaf.shape for name, leaf in named_leaves(tree).items()} for tree in (new, old)]
    if shapes[0] != shapes[1]:
        return new
    return jax.tree.unflatten(jax.tree.structure(new), map(jnp.asarray, jax.tree.leaves(old)))
