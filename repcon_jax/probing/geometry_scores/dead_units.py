"""How many features say nothing."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore
from repcon_jax.records.scores import Score
from repcon_jax.typing import Scalar


@GEOMETRY_SCORES.register("dead_units")
def build_dead_units(*, tolerance: float = 1e-6) -> GeometryScore:
    """The share of features that are constant, see ``dead_units``.

    Args:
        tolerance: a feature counts as constant whose range is at most this share of its largest absolute value.
    Raises:
        ArgumentError: the tolerance is negative.
    """
    check_range("tolerance", tolerance, 0)
    score = Score("dead units", "fraction", higher_is_better=False, about="the share of features that are constant")
    return GeometryScore(lambda features: dead_units(features, tolerance), score)


@jax.jit
def dead_units(features: Features, tolerance: Scalar = 1e-6) -> Float[Array, ""]:
    """The share of features that are the same for all examples, in [0, 1].

        1/d #{k: max_i x_ik - min_i x_ik <= tolerance max_i |x_ik|}

    Args:
        features: [examples, size], finite.
        tolerance: for what rounding makes of a constant; 0 for none.

    >>> float(dead_units(jnp.array([[0.0, 1.0], [0.0, 2.0]])))
    0.5
    """
    ranges, largest = features.max(0) - features.min(0), jnp.abs(features).max(0)
    return jnp.mean((ranges <= tolerance * largest).astype(jnp.float32))
