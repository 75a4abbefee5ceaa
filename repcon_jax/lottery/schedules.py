"""Densities over rounds of pruning: the dense network comes before the first round and is not listed.

A config gives one call as text, such as ``"geometric(fraction=0.2, rounds=8)"`` or
``"densities(values=(0.5, 0.2, 0.1))"``. Densities are the floats nearest to the exact decimal results.
"""

import itertools
from collections.abc import Sequence
from fractions import Fraction

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.lottery.counting import exact
from repcon_jax.options.registry import Registry

DENSITY_SCHEDULES = Registry("schedule", "repcon_jax.lottery.schedules")

Densities = tuple[float, ...]


def parse_densities(text: str, field: str = "schedule") -> Densities:
    """The overall densities after each round of pruning.

    Args:
        text: a call such as ``"geometric(fraction=0.2, rounds=8)"``.
        field: config field that it stands in, for messages.
    Raises:
        ConfigError: the text is no call of a known schedule, a density is not in (0, 1], or densities do not decrease.

    >>> parse_densities("geometric(fraction=0.2, rounds=3)")
    (0.8, 0.64, 0.512)
    """
    return DENSITY_SCHEDULES.parse(text, field)


@DENSITY_SCHEDULES.register("one_shot")
def one_shot(*, density: float = 0.2) -> Densities:
    """One round.

    >>> one_shot(density=0.1)
    (0.1,)
    """
    return _checked("density", (density,))


@DENSITY_SCHEDULES.register("geometric")
def geometric(*, fraction: float = 0.2, rounds: int = 8) -> Densities:
    """After round r the density (1 - fraction)^r: every round prunes the same fraction of what remains.

    Args:
        fraction: pruned per round, in (0, 1).
        rounds: at least 1.

    Source: Frankle and Carbin, arXiv 1803.03635, iterative pruning.
    """
    check_range("fraction", fraction, 0, 1, open_low=True, open_high=True)
    check_range("rounds", rounds, 1)
    return _checked("fraction", [float((1 - exact(fraction)) ** r) for r in range(1, rounds + 1)])


@DENSITY_SCHEDULES.register("cubic")
def cubic(*, final_density: float = 0.1, rounds: int = 8) -> Densities:
    """After round r of R the density final + (1 - final) (1 - r / R)^3: much is pruned at first and little at last.

    Args:
        final_density: after the last round, in (0, 1).
        rounds: R, at least 1.

    Source: Zhu and Gupta, arXiv 1710.01878, equation 1 with initial sparsity 0.

    >>> cubic(final_density=0.2, rounds=2)
    (0.3, 0.2)
    """
    check_range("final_density", final_density, 0, 1, open_low=True, open_high=True)
    check_range("rounds", rounds, 1)
    final = exact(final_density)
    left = [1 - Fraction(r, rounds) for r in range(1, rounds + 1)]
    return _checked("final_density", [float(final + (1 - final) * part**3) for part in left])


@DENSITY_SCHEDULES.register("densities")
def densities(*, values: tuple[float, ...] | list[float] = ()) -> Densities:
    """The densities as they are given, strictly decreasing in (0, 1].

    >>> densities(values=(1.0, 0.5))
    (1.0, 0.5)
    """
    if not values:
        raise ArgumentError("values", "is empty but must name at least one density", "give it, such as (0.5, 0.2)")
    return _checked("values", values)


def _checked(argument: str, values: Sequence[float]) -> Densities:
    for value in values:
        check_range(argument, value, 0, 1, open_low=True)
    for before, after in itertools.pairwise(values):
        if not after < before:
            raise ArgumentError(
                argument,
                f"gives the density {after!r} after {before!r} but densities must decrease strictly",
                "order them, or take fewer rounds",
            )
    return tuple(float(value) for value in values)
