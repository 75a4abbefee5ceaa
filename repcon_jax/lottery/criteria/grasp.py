"""Gradient signal preservation."""

import jax

from repcon_jax.derivatives import hessian_vector_product
from repcon_jax.lottery.criterion import CRITERIA, Criterion, Evidence
from repcon_jax.typing import PyTree


@CRITERIA.register("grasp")
def grasp() -> Criterion:
    """w (H g), with the gradient g and the Hessian H of the loss: keep what the gradient's norm would miss.

    Zeroing one weight is the step -w, which changes |g|^2 by -2 w (H g) to first order. So a large positive score is
    a weight without which training would slow down, and a negative one a weight that stands in the way. The paper's
    S(-w) = -w (H g) has the opposite sign, and it is the largest S that goes.

    The paper divides logits by 200 in the loss; do so in the one given.

    Source: Wang et al., arXiv 2002.07376, section 4 and algorithm 1.
    """

    def preserved(evidence: Evidence) -> PyTree:
        loss = evidence.mean_loss()
        products = hessian_vector_product(loss, evidence.params, jax.grad(loss)(evidence.params))
        return jax.tree.map(lambda w, product: w * product, evidence.params, products)

    return Criterion(preserved, frozenset({"loss", "batches"}))
