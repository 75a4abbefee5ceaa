"""How the numbers of landscapes are scaled and coloured in every picture and table, by what they declare to mean."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from repcon_jax.records.scores import Score, read_scores

# Below this share of the largest value a logarithmic scale ends: rounding errors at an exact zero lie far lower.
SMALLEST = 1e-6
# A single cell next to an exact zero would take half of the colours: the lowest of every hundred share one.
_LOWEST = 0.01
# Bright is good in both.
LOW_IS_GOOD, HIGH_IS_GOOD, NEUTRAL = "viridis_r", "magma", "cividis"
# The palette of Okabe and Ito, told apart by everybody; orange and sky blue last, as they are pale.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class Scale(NamedTuple):
    """How a metric is drawn.

    Attributes:
        title: its name in words.
        unit: of the values as they are drawn, or empty.
        factor: from values in the results to values as they are drawn.
        logarithmic: whether the scale is.
        colours: name of the colour map.
        is_fraction: whether the values lie in [0, 1], and are drawn in percent.
    """

    title: str
    unit: str
    factor: float
    logarithmic: bool
    colours: str
    is_fraction: bool

    @property
    def label(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


def scale_of(results: Mapping[str, Any], metric: str) -> Scale:
    """The scale of a metric, as the results declare it; without a declaration a bare number under its own name.

    >>> error = {"label": "test error", "unit": "fraction", "higher_is_better": False, "scale": "linear"}
    >>> scale_of({"scores": {"test/error": error}}, "test/error").label, scale_of({}, "test/error").label
    ('test error (%)', 'test/error')
    """
    score = _score_of(results, metric)
    is_fraction = score.unit == "fraction"
    unit, factor = ("%", 100.0) if is_fraction else (score.unit, 1.0)
    colours = {None: NEUTRAL, True: HIGH_IS_GOOD, False: LOW_IS_GOOD}[score.higher_is_better]
    return Scale(score.label, unit, factor, score.scale == "log", colours, is_fraction)


def first_of_each(results: Mapping[str, Any], metrics: Iterable[str]) -> list[str]:
    """The first metric of which low values are good and the first of which high ones are; the very first if none is."""
    metrics = list(metrics)
    goods = [_score_of(results, metric).higher_is_better for metric in metrics]
    firsts = [metrics[goods.index(good)] for good in (False, True) if good in goods]
    return firsts or metrics[:1]


def split_neutral(results: Mapping[str, Any], metrics: Iterable[str]) -> tuple[list[str], list[str]]:
    """The metrics of which high or low values are good, and the others, such as norms, that say where one is.

    Where there are only others they count as the former, so that there is something to colour.

    >>> loss, norm = {"label": "loss", "higher_is_better": False}, {"label": "norm"}
    >>> split_neutral({"scores": {"a": loss, "b": norm}}, ["a", "b"]), split_neutral({}, ["a", "b"])
    ((['a'], ['b']), (['a', 'b'], []))
    """
    metrics = list(metrics)
    neutral = [metric for metric in metrics if _score_of(results, metric).higher_is_better is None]
    return (metrics, []) if neutral == metrics else ([m for m in metrics if m not in neutral], neutral)


def _score_of(results: Mapping[str, Any], metric: str) -> Score:
    return read_scores(results).get(metric, Score(metric))


def numbers(values: Any, factor: float = 1.0) -> np.ndarray:
    """A list of numbers as float64, NaN where it has None or an infinity."""
    array = factor * np.array(values, np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def limits(values: np.ndarray, logarithmic: bool) -> tuple[float, float]:
    """Ends of a scale, low < high, for values that may be constant, zero or NaN.

    Args:
        values: any shape.
        logarithmic: both ends are positive then, at most ``1 / SMALLEST`` apart, and the lowest hundredth of many
            values lies below.
    """
    finite = values[np.isfinite(values) & (values > 0 if logarithmic else True)]
    if not finite.size:
        return 0.1, 1.0
    low, high = float(finite.min()), float(finite.max())
    if logarithmic:
        low = max(float(np.quantile(finite, _LOWEST, method="lower")), SMALLEST * high)
    if low < high:
        return low, high
    return (low / 2, 2 * high) if logarithmic else (low - 0.5, high + 0.5)


def spread_widely(values: Iterable[float | None]) -> bool:
    """Whether values are all positive and differ so much that a linear axis would hide the small ones."""
    finite = numbers(list(values))
    finite = finite[np.isfinite(finite)]
    return bool(finite.size) and bool(finite.min() > 0) and bool(finite.max() / finite.min() > 50)
