"""Movement: whether training moves a weight away from zero."""

from typing import Literal

import jax
import jax.numpy as jnp

from repcon_jax.lottery.criterion import CRITERIA, Criterion, Evidence
from repcon_jax.typing import Params, PyTree


def add_movement(movement: PyTree, params: Params, gradients: Params) -> PyTree:
    """The movement after one more step, ``movement - gradients * params``; it starts at zero.

    Args:
        movement: so far, with the structure and shapes of params.
        params, gradients: of the step, before its update.

    Source: Sanh et al., arXiv 2005.07683, section 4, without the constant learning rate of the scores.

    >>> add_movement({"w": jnp.array([1.0])}, {"w": jnp.array([2.0])}, {"w": jnp.array([-3.0])})["w"].tolist()
    [7.0]
    """
    return jax.tree.map(lambda m, w, g: m - g * w, movement, params, gradients)


@CRITERIA.register("movement")
def movement(*, source: Literal["accumulated", "start", "gradient"] = "accumulated") -> Criterion:
    """-sum over steps of w dL/dw: above zero for weights that training moves away from zero.

    Args:
        source: ``accumulated`` is the sum itself, from ``Evidence.movement``. ``start`` knows both ends of training
            only: in gradient flow dw = -dL/dw dt the sum is the integral of w dw, (w^2 - w_start^2) / 2 whatever the
            way; momentum, weight decay and large steps differ. ``gradient`` is the one term -w dL/dw at the
            parameters.

    Source: Sanh et al., arXiv 2005.07683, section 4.
    """
    scores = {"accumulated": lambda evidence: evidence.movement, "start": _since_start, "gradient": _now}
    needs = {"accumulated": {"movement"}, "start": {"start"}, "gradient": {"loss", "batches"}}
    return Criterion(scores[source], frozenset(needs[source]))


def _since_start(evidence: Evidence) -> PyTree:
    return jax.tree.map(lambda w, start: (jnp.square(w) - jnp.square(start)) / 2, evidence.params, evidence.start)


def _now(evidence: Evidence) -> PyTree:
    gradients = jax.grad(evidence.mean_loss())(evidence.params)
    return jax.tree.map(lambda w, g: -w * g, evidence.params, gradients)
