"""Batch norm statistics for parameters that were never trained: those of the data, measured again."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.models.normalisation import MOMENTUM
from repcon_jax.typing import ModelState, Params


def recalibrate(
    apply: Callable[..., tuple[Any, ...]],
    params: Params,
    model_state: ModelState,
    batches: Float[Array, "batches batch ..."],
) -> ModelState:
    """Running statistics of a network as the mean over batches of the statistics that each batch has in training.

        s = 1/B sum_b s_b,   s_b = (s_b' - (1 - m) s) / m

    where s_b' is what one training step of momentum m makes of s. They depend on the parameters and the batches alone.

    Args:
        apply: of a ``Model``.
        params: at which.
        model_state: gives the structure; where it has no arrays, it is returned as it is.
        batches: normalised images [batches, batch, height, width, channels], in training order or any other.

    Source: Izmailov et al., Averaging Weights Leads to Wider Optima (arXiv 1803.05407), section 3.2.
    """
    if not jax.tree.leaves(model_state):
        return model_state
    # From zeros, one step leaves the share ``MOMENTUM`` of the batch's own statistics.
    zero = jax.tree.map(jnp.zeros_like, model_state)

    def add(total: ModelState, batch: Array) -> tuple[ModelState, None]:
        updated = apply(params, zero, batch, True)[1]
        return jax.tree.map(jnp.add, total, updated), None

    total, _ = jax.lax.scan(add, zero, batches)
    return jax.tree.map(lambda leaf: leaf / (MOMENTUM * batches.shape[0]), total)
