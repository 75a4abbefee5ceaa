"""Means with 95% intervals, what a claim about them is worth, and rank correlations."""

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal

from scipy import stats

CONFIDENCE = 0.95
Verdict = Literal["holds", "fails", "undecided"]


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and 95% interval of independent values, by Student's t.

        mean +- t(0.975; n - 1) s / sqrt(n),   s the standard deviation with n - 1 in its denominator

    Args:
        values: at least one.
    Returns:
        ``{"mean", "low", "high", "count"}``, as JSON values; low and high are None for a single value, and all three
        where a value is not finite.

    >>> around = interval([1.0, 2.0, 3.0])
    >>> round(around["low"], 3), around["mean"], round(around["high"], 3)
    (-0.484, 2.0, 4.484)
    """
    count = len(values)
    if not all(map(math.isfinite, values)):
        return {"mean": None, "low": None, "high": None, "count": count}
    mean = statistics.fmean(values)
    if count < 2:
        return {"mean": mean, "low": None, "high": None, "count": count}
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * statistics.stdev(values) / math.sqrt(count)
    return {"mean": mean, "low": mean - half, "high": mean + half, "count": count}


def verdict(difference: dict[str, Any], relation: Literal[">", "<"], threshold: float) -> Verdict:
    """What is known of the claim ``difference > threshold``, or ``<``.

    It holds where the whole interval is beyond the threshold, fails where none of it is, and is undecided otherwise, so
    always where there is no interval.

    Args:
        difference: from ``interval``.
        relation: of the claim.
        threshold: of the claim.

    >>> verdict(interval([1.0, 1.1, 0.9]), ">", 0.0), verdict(interval([1.0]), ">", 0.0)
    ('holds', 'undecided')
    """
    low, high = difference["low"], difference["high"]
    if low is None:
        return "undecided"
    if relation == "<":
        low, high, threshold = -high, -low, -threshold
    return "holds" if low > threshold else "fails" if high <= threshold else "undecided"


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of two lists; None for fewer than three pairs or where one list is constant.

    Numbers that agree to five digits are ties, since float32 leaves little more of what is equal.

    Args:
        first, second: finite numbers, as many of each.

    >>> round(rank_correlation([1, 2, 3], [10, 30, 20]), 3)
    0.333
    """
    first, second = ([float(f"{value:.4e}") for value in values] for values in (first, second))
    if len(first) < 3 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(stats.kendalltau(first, second).statistic)
