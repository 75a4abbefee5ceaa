"""All layers compete with each other."""

from repcon_jax.lottery.allocation import DISTRIBUTIONS, PrunableLeaf


@DISTRIBUTIONS.register("global")
def overall(layers: dict[str, PrunableLeaf], kept: int) -> int:
    """One count for all layers together: the largest scores anywhere are kept."""
    return kept
