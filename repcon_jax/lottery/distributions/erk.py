"""Erdos-Renyi densities with the window of the convolution."""

from repcon_jax.lottery.allocation import DISTRIBUTIONS, PrunableLeaf
from repcon_jax.lottery.counting import share


@DISTRIBUTIONS.register("erk")
def erk(layers: dict[str, PrunableLeaf], kept: int) -> dict[str, int]:
    """Densities in proportion to (inputs + outputs + height + width) / (inputs * outputs * height * width), at most 1.

    Kernels without a window have (inputs + outputs) / (inputs * outputs), as in ``erdos_renyi``; what a layer at
    density 1 cannot take goes to the others. A vector counts as a kernel of one input.

    Source: Evci et al., arXiv 1911.11134, section 3.
    """
    weights = {name: sum(layer.axes) for name, layer in layers.items()}
    return share(kept, weights, {name: layer.kept for name, layer in layers.items()})
