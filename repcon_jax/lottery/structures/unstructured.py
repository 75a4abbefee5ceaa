"""Single weights."""

from repcon_jax.lottery.selection import prune_to_density
from repcon_jax.lottery.structure import STRUCTURES, Structure
from repcon_jax.models import Model
from repcon_jax.typing import PyTree


@STRUCTURES.register("unstructured")
def unstructured() -> Structure:
    """Every weight by itself, at exactly the density; see ``prune_to_density``."""

    def prune(
        scores: PyTree, mask: PyTree, prunable: PyTree, density: float, distribution: str, model: Model | None
    ) -> PyTree:
        del model
        return prune_to_density(scores, mask, prunable, density, distribution)

    return prune
