"""How steep a valley is on either side of a minimum along a line."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from repcon_jax.typing import Scalar


class Slopes(NamedTuple):
    """Slopes of a loss along a line, in units of the loss per unit of the coordinate.

    Attributes:
        left: of the points at and left of the middle; negative where the loss falls towards the middle.
        right: of the points at and right of it.
    """

    left: Float[Array, ""]
    right: Float[Array, ""]


def one_sided_slopes(
    values: Float[Array, " points"],
    coordinates: Float[Array, " points"],
    at: Scalar = 0.0,
    window: Scalar | None = None,
) -> Slopes:
    """The slopes of the least-squares lines through the values on either side of a point.

        slope = sum_i (x_i - mean x) (y_i - mean y) / sum_i (x_i - mean x)^2

    Compare slopes over one window only: a smooth valley is a parabola at its bottom, where slopes grow with the
    window. A KL divergence to the minimum is such a parabola; its square root is |x| there, with slopes that hardly
    depend on the window, so for KL give sqrt(values). Logarithms will not do: they have no slope at the minimum.

    Args:
        values: [points], losses along the line, in any order.
        coordinates: [points], where; a value at ``at`` itself counts on both sides.
        at: the coordinate of the minimum.
        window: farthest distance from ``at`` to take in; None takes all.
    Returns:
        Slopes; NaN on a side of fewer than two different coordinates.

    >>> x = jnp.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    >>> [float(slope) for slope in one_sided_slopes(jnp.where(x < 0, -3.0 * x, x), x)]
    [-3.0, 1.0]
    """
    offsets = coordinates - at
    # A regular grid meets its own middle and the window's ends to within rounding only.
    rounding = 1e-6 * jnp.max(jnp.abs(offsets))
    is_near = True if window is None else jnp.abs(offsets) <= window + rounding
    return Slopes(
        _slope(values, offsets, (offsets <= rounding) & is_near),
        _slope(values, offsets, (offsets >= -rounding) & is_near),
    )


def valley_asymmetry(
    values: Float[Array, " points"],
    coordinates: Float[Array, " points"],
    at: Scalar = 0.0,
    window: Scalar | None = None,
) -> Float[Array, ""]:
    """How unlike the two sides of a valley are: (|right| - |left|) / (|right| + |left|) of ``one_sided_slopes``.

    It is 0 for a symmetric valley, 1 where only the right side rises and -1 where only the left does; no factor on
    the values or the coordinates changes it.

    Args:
        values, coordinates, at, window: as in ``one_sided_slopes``, with its advice for KL divergences.
    Returns:
        Scalar in [-1, 1]; 0 where both sides are flat, NaN as there.

    Source: the measure is ours, for the valleys of Asymmetric Valleys (arXiv 1902.00744).

    >>> x = jnp.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    >>> float(valley_asymmetry(jnp.where(x < 0, -3.0 * x, x), x))
    -0.5
    """
    left, right = (jnp.abs(slope) for slope in one_sided_slopes(values, coordinates, at, window))
    total = left + right
    return jnp.where(total == 0, 0.0, (right - left) / jnp.where(total == 0, 1.0, total))


def _slope(
    values: Float[Array, " points"], offsets: Float[Array, " points"], is_used: Bool[Array, " points"]
) -> Float[Array, ""]:
    def centred(numbers: Float[Array, " points"]) -> Float[Array, " points"]:
        mean = jnp.sum(jnp.where(is_used, numbers, 0.0)) / jnp.sum(is_used)
        return jnp.where(is_used, numbers - mean, 0.0)

    x, y = centred(offsets), centred(values)
    return jnp.sum(x * y) / jnp.sum(x * x)
