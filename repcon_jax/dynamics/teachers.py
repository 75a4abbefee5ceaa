"""How a teacher moves while its student trains."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from repcon_jax.trees import lerp
from repcon_jax.typing import Params, PyTree


def exponential_moving_average(teacher: Params, student: Params, momentum: float | Float[Array, ""]) -> Params:
    """The teacher drawn towards the student: theta_T <- m theta_T + (1 - m) theta_S.

    Args:
        teacher, student: trees of one structure.
        momentum: m in [0, 1].

    Source: DINO (arXiv 2104.14294), section 3.1.

    >>> exponential_moving_average({"w": 1.0}, {"w": 3.0}, 0.5)
    {'w': 2.0}
    """
    return lerp(student, teacher, momentum)


def replace_every(teacher: PyTree, student: PyTree, step: Int[Array, ""], every: int) -> PyTree:
    """The student where ``step`` is a positive multiple of ``every``, otherwise the teacher.

    Args:
        teacher, student: trees of one structure.
        step: number of updates made.
        every: period in steps; one epoch gives the previous-epoch teacher.
    """
    due: Bool[Array, ""] = (step > 0) & (step % every == 0)
    return jax.tree.map(lambda t, s: jnp.where(due, s, t), teacher, student)
