"""Connection sensitivity."""

import jax
import jax.numpy as jnp

from repcon_jax.lottery.criterion import CRITERIA, Criterion, Evidence
from repcon_jax.typing import PyTree


@CRITERIA.register("snip")
def snip() -> Criterion:
    """|w dL/dw|: how fast the loss changes as the connection is faded out, up or down.

    Dividing by the sum over all weights, as the paper does, would not change their order.

    Source: Lee et al., arXiv 1810.02340, section 4.
    """

    def sensitivity(evidence: Evidence) -> PyTree:
        gradients = jax.grad(evidence.mean_loss())(evidence.params)
        return jax.tree.map(lambda w, g: jnp.abs(w * g), evidence.params, gradients)

    return Criterion(sensitivity, frozenset({"loss", "batches"}))
