"""All layers compete with each other."""

from repcon_jax.lottery.allocation import DISTRIBUTIONS, Layer


@DISTRIBUTIONS.register("global")
def overall(layers: dict[str, Layer], kept: int) -> int:
    """One count for all layers together: the largest scores anywhere are kept."""
    return kept
