"""Where a student starts, relative to its teacher."""

import math

import jax
import jax.numpy as jnp

from repcon_jax.errors import check_range
from repcon_jax.trees import lerp
from repcon_jax.typing import Params, Scalar


def interpolate(teacher: Params, fresh: Params, locality: Scalar, *, variance_preserving: bool = True) -> Params:
    """A student on the way from its teacher to a fresh initialisation.

        theta_S(alpha) = ((1 - alpha) theta_T + alpha theta~) / delta,   delta = sqrt(alpha^2 + (1 - alpha)^2)

    With delta the variance of independent entries is that of an initialisation for every alpha. Norm scales are
    rescaled like any other parameter, as in the paper's released code.

    Args:
        teacher: theta_T.
        fresh: theta~, an initialisation of the same structure.
        locality: alpha in [0, 1]; 0 gives the teacher and 1 the fresh initialisation, both exactly.
        variance_preserving: whether to divide by delta.
    Raises:
        ArgumentError: locality is out of range.

    Source: Random Teachers are Good Teachers (arXiv 2302.12091), section 4.2.

    >>> interpolate({"w": 3.0}, {"w": 4.0}, 0.5, variance_preserving=False)
    {'w': 3.5}
    """
    check_range("locality", locality, 0, 1)
    mixed = lerp(teacher, fresh, locality)
    if not variance_preserving:
        return mixed
    delta = _hypot(locality, 1 - locality)
    return jax.tree.map(lambda leaf: leaf / delta, mixed)


def neighbourhood(teacher: Params, fresh: Params, epsilon: Scalar, *, variance_preserving: bool = False) -> Params:
    """A student at a small random offset from its teacher.

        theta_S = (theta_T + epsilon theta~) / delta,   delta = sqrt(1 + epsilon^2)

    Args:
        teacher: theta_T.
        fresh: theta~, an initialisation of the same structure, taken as the direction.
        epsilon: size of the offset, at least 0.
        variance_preserving: whether to divide by delta; otherwise delta is 1.
    Raises:
        ArgumentError: epsilon is negative.

    Source: released code of arXiv 2302.12091, start 'neighborhood'.

    >>> neighbourhood({"w": 3.0}, {"w": 4.0}, 0.5)
    {'w': 5.0}
    """
    check_range("epsilon", epsilon, 0)
    delta = _hypot(1.0, epsilon) if variance_preserving else 1.0
    return jax.tree.map(lambda t, f: (t + epsilon * f) / delta, teacher, fresh)


def _hypot(a: Scalar, b: Scalar) -> Scalar:
    # In double precision where the values are known, so that a run alone is as exact as it can be.
    traced = isinstance(a, jax.Array) or isinstance(b, jax.Array)
    return jnp.hypot(a, b) if traced else math.hypot(a, b)
