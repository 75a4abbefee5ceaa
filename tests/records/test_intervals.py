"""Intervals, verdicts and rank correlations against SciPy, and at their edges."""

import math

import numpy as np
import pytest
from scipy import stats

from repcon_jax.records.intervals import interval, rank_correlation, verdict


@pytest.mark.parametrize("count", [2, 3, 10, 200])
def test_an_interval_is_that_of_student_s_t(count):
    values = np.random.default_rng(count).normal(3.0, 2.0, count).tolist()
    around = interval(values)
    low, high = stats.t.interval(0.95, count - 1, loc=np.mean(values), scale=stats.sem(values))
    assert around["mean"] == pytest.approx(np.mean(values))
    assert (around["low"], around["high"]) == (pytest.approx(low), pytest.approx(high))
    assert around["count"] == count


def test_intervals_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    around = [interval(rng.normal(1.0, 1.0, 4).tolist()) for _ in range(2000)]
    assert np.mean([one["low"] < 1.0 < one["high"] for one in around]) == pytest.approx(0.95, abs=0.015)


def test_a_single_value_and_values_that_are_not_finite_have_no_interval():
    assert interval([2.0]) == {"mean": 2.0, "low": None, "high": None, "count": 1}
    for value in (math.nan, math.inf, -math.inf):
        assert interval([1.0, value, 2.0]) == {"mean": None, "low": None, "high": None, "count": 3}


def test_equal_values_have_an_interval_of_no_width():
    assert interval([0.25, 0.25, 0.25]) == {"mean": 0.25, "low": 0.25, "high": 0.25, "count": 3}


@pytest.mark.parametrize(
    ("low", "high", "above", "below"),
    [
        (0.1, 0.3, "holds", "fails"),
        (-0.3, -0.1, "fails", "holds"),
        (-0.1, 0.1, "undecided", "undecided"),
        (0.0, 0.1, "undecided", "fails"),  # exactly at the threshold is not beyond it
        (-0.1, 0.0, "fails", "undecided"),
        (0.0, 0.0, "fails", "fails"),
        (None, None, "undecided", "undecided"),
    ],
)
@pytest.mark.parametrize("threshold", [0.0, 0.5, -2.0])
def test_a_claim_holds_or_fails_where_the_whole_interval_says_so(low, high, above, below, threshold):
    difference = {"low": None if low is None else low + threshold, "high": None if high is None else high + threshold}
    assert verdict(difference, ">", threshold) == above
    assert verdict(difference, "<", threshold) == below


def test_rank_correlation_is_kendall_s_tau_b():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5, 12).tolist(), rng.normal(size=12).tolist()  # with ties
    assert rank_correlation(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)


def test_too_few_or_constant_values_have_no_rank_correlation():
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1, 2, 3], [2, 2, 2]) is None


def test_what_differs_by_rounding_is_tied():
    nearly = [9.0, 9.0 - 4e-6, 9.0 + 5e-6, 9.0 - 1e-6]
    assert rank_correlation(nearly, [1, 2, 3, 4]) is None
    assert rank_correlation([*nearly, 8.9], [1, 2, 3, 4, 0]) == rank_correlation([9, 9, 9, 9, 8.9], [1, 2, 3, 4, 0])
    assert rank_correlation([1e-9, 2e-9, 3e-9], [1, 2, 3]) == pytest.approx(1.0)
