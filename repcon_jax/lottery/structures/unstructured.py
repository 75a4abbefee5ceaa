"""Single weights."""

from repcon_jax.lottery.selection import prune_to_density
from repcon_jax.lottery.structure import STRUCTURES
from repcon_jax.typing import PyTree


@STRUCTURES.register("unstructured")
def unstructured(scores: PyTree, mask: PyTree, prunable: PyTree, density: float, distribution: str) -> PyTree:
    """Every weight by itself, at exactly the density; see ``prune_to_density``."""
    return prune_to_density(scores, mask, prunable, density, distribution)
