"""Barriers: how far the loss, or any other value, rises along a path above what its ends promise."""

import itertools

import numpy as np
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError

# NumPy arrays stay NumPy arrays, with their precision; everything here is slices, sums and maxima, so both kinds do.
Values = Float[Array, "*batch points"] | Float[np.ndarray, "*batch points"]
Coordinates = Float[Array, " points"] | Float[np.ndarray, " points"]
# A NumPy reduction over all axes gives a NumPy scalar, a Python float by inheritance.
Reduced = Float[Array, "*batch"] | Float[np.ndarray, "*batch"] | np.floating


def barrier(values: Values, coordinates: Coordinates | None = None) -> Reduced:
    """The largest excess over the straight line between the values at the ends.

        max_t L(t) - ((1 - t) L(0) + t L(1))

    The ends are among the points and have an excess of exactly 0, so it is never negative; constant values give
    exactly 0.

    Args:
        values: L at points along a path, ends included, [*batch, points].
        coordinates: where they are, ascending, [points]; only ratios of distances matter. None for equal distances.
    Returns:
        [*batch], in the unit of the values.
    Raises:
        ArgumentError: there are fewer than two points.

    Source: Entezari et al., arXiv 2110.06296, definition 2.1; after Frankle et al., arXiv 1912.05671, section 2.

    >>> float(barrier(np.array([0.0, 3.0, 2.0])))
    2.0
    """
    _check_points(values)
    if coordinates is None:
        coordinates = np.linspace(0.0, 1.0, values.shape[-1])
    t = (coordinates - coordinates[0]) / (coordinates[-1] - coordinates[0])
    first, last = values[..., :1], values[..., -1:]
    # In this order both ends, and constants, cancel exactly, and (1 - t) first + t last would not.
    return ((values - first) - t * (last - first)).max(-1)


def barrier_over_mean(values: Values) -> Reduced:
    """The largest value along a path less the mean of its ends: max_t L(t) - (L(0) + L(1)) / 2.

    With d = |L(0) - L(1)| / 2 it lies between d, since the ends are among the points, and d + ``barrier``. So it is
    never negative either, but where the ends differ it is positive without any barrier. Constants give exactly 0.

    Args:
        values: L at points along a path, ends included, [*batch, points].
    Returns:
        [*batch], in the unit of the values.
    Raises:
        ArgumentError: there are fewer than two points.

    Source: Frankle et al., arXiv 1912.05671, section 2, the error barrier height.

    >>> float(barrier_over_mean(np.array([0.0, 3.0, 2.0])))
    2.0
    """
    _check_points(values)
    return values.max(-1) - (values[..., 0] + values[..., -1]) / 2


def all_pairs(count: int) -> list[tuple[int, int]]:
    """Every unordered pair of ``count`` runs, in order.

    >>> all_pairs(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return list(itertools.combinations(range(count), 2))


def instability(values: Float[Array, "pairs points"] | Float[np.ndarray, "pairs points"]) -> dict[str, Reduced]:
    """Instability of training: ``barrier_over_mean`` between runs that share a start, over pairs of them.

    Args:
        values: L along the straight line between the runs of each pair, such as ``all_pairs``, [pairs, points].
    Returns:
        ``mean``, ``std`` (dividing by the number of pairs), ``min`` and ``max`` over the pairs.
    Raises:
        ArgumentError: there are fewer than two points.

    Source: Frankle et al., arXiv 1912.05671, section 2.
    """
    heights = barrier_over_mean(values)
    return {"mean": heights.mean(), "std": heights.std(), "min": heights.min(), "max": heights.max()}


def _check_points(values: Values) -> None:
    if values.shape[-1] < 2:
        raise ArgumentError("values", f"has {values.shape[-1]} points but a barrier needs both ends", "give at least 2")
