"""Densities of an Erdos-Renyi random graph: wide layers are sparser."""

import math

from repcon_jax.lottery.allocation import DISTRIBUTIONS, PrunableLeaf
from repcon_jax.lottery.counting import share


@DISTRIBUTIONS.register("erdos_renyi")
def erdos_renyi(layers: dict[str, PrunableLeaf], kept: int) -> dict[str, int]:
    """Densities in proportion to (inputs + outputs) / (inputs * outputs), at most 1.

    The window of a convolution does not enter; what a layer at density 1 cannot take goes to the others. A vector
    counts as a kernel of one input.

    Source: Evci et al., arXiv 1911.11134, section 3; Mocanu et al., arXiv 1707.04780.
    """
    # The size is inputs * outputs * window, so its product with the density has no division left.
    weights = {name: math.prod(layer.axes[:-2]) * sum(layer.axes[-2:]) for name, layer in layers.items()}
    return share(kept, weights, {name: layer.kept for name, layer in layers.items()})
