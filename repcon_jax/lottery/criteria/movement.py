"""Movement: whether training moves a weight away from zero."""

from typing import Literal

import jax
import jax.numpy as jnp

from repcon_jax.lottery.criterion import CRITERIA, Criterion, Evidence
from repcon_jax.typing import PyTree


@CRITERIA.register("movement")
def movement(*, source: Literal["start", "gradient"] = "start") -> Criterion:
    """-sum over steps of w dL/dw, or what comes near it: above zero for weights that training moves away from zero.

    Args:
        source: ``start`` knows both ends of training only: in gradient flow dw = -dL/dw dt the sum is the integral of
            w dw, (w^2 - w_start^2) / 2 whatever the way; momentum, weight decay and large steps differ. ``gradient``
            is the one term -w dL/dw at the parameters.

    Source: Sanh et al., arXiv 2005.07683, section 4.
    """
    scores = {"start": _since_start, "gradient": _now}
    needs = {"start": {"start"}, "gradient": {"loss", "batches"}}
    return Criterion(scores[source], frozenset(needs[source]))


def _since_start(evidence: Evidence) -> PyTree:
    return jax.tree.map(lambda w, start: (jnp.square(w) - jnp.square(start)) / 2, evidence.params, evidence.start)


def _now(evidence: Evidence) -> PyTree:
    gradients = jax.grad(evidence.mean_loss())(evidence.params)
    return jax.tree.map(lambda w, g: -w * g, evidence.params, gradients)
