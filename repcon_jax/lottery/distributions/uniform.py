"""The same density in every layer."""

from repcon_jax.lottery.allocation import DISTRIBUTIONS, PrunableLeaf
from repcon_jax.lottery.counting import share


@DISTRIBUTIONS.register("uniform")
def uniform(layers: dict[str, PrunableLeaf], kept: int) -> dict[str, int]:
    """Counts in proportion to the layers' sizes."""
    sizes = {name: layer.total for name, layer in layers.items()}
    return share(kept, sizes, {name: layer.kept for name, layer in layers.items()})
