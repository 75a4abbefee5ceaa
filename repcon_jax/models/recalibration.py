"""Batch norm statistics for parameters that were never trained: those of the data, measured again."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from repcon_jax.models.network import Network
from repcon_jax.models.normalisation import MOMENTUM
from repcon_jax.typing import ModelState


def recalibrate(
    network: Network, batches: UInt8[Array, "batches b h w c"] | Float[Array, "batches b h w c"]
) -> Network:
    """A network whose running statistics are the mean over batches of those that each batch has in training.

        s = 1/B sum_b s_b,   s_b = (s_b' - (1 - m) s) / m

    where s_b' is what one training step of momentum m makes of s. They depend on the parameters and the batches alone.

    Args:
        network: its model state gives the structure; where that has no arrays, the network is returned as it is.
        batches: images as the network is called with, [batches, batch, height, width, channels], in any order.

    Source: Izmailov et al., Averaging Weights Leads to Wider Optima (arXiv 1803.05407), section 3.2.
    """
    if not jax.tree.leaves(network.model_state):
        return network
    # From zeros, one step leaves the share ``MOMENTUM`` of the batch's own statistics.
    zero = jax.tree.map(jnp.zeros_like, network.model_state)

    def add(total: ModelState, batch: Array) -> tuple[ModelState, None]:
        _, updated = network.replace(model_state=zero).apply(batch, train=True)
        return jax.tree.map(jnp.add, total, updated), None

    total, _ = jax.lax.scan(add, zero, batches)
    return network.replace(model_state=jax.tree.map(lambda leaf: leaf / (MOMENTUM * batches.shape[0]), total))
