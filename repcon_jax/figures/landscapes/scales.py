"""How the numbers of landscapes are named, scaled and coloured, in every picture and table."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

# Below this share of the largest value a logarithmic scale ends: rounding errors at an exact zero lie far lower.
SMALLEST = 1e-6
# A single cell next to an exact zero would take half of the colours: the lowest of every hundred share one.
_LOWEST = 0.01
# Bright is good in both.
LOW_IS_GOOD, HIGH_IS_GOOD, NEUTRAL = "viridis_r", "magma", "cividis"
# The palette of Okabe and Ito, told apart by everybody; orange and sky blue last, as they are pale.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

_LOSSES = {
    "kl_divergence": ("KL divergence", "nats", True),
    "embedding_kl_divergence": ("embedding KL divergence", "nats", True),
    "mean_squared_error": ("mean squared error", "", True),
    "cross_entropy": ("cross-entropy", "nats", False),
}
_PROBES = {"linear": "linear probe", "knn": "k-NN probe"}


class Scale(NamedTuple):
    """How a metric is drawn.

    Attributes:
        title: its name in words.
        unit: of the values as they are drawn, or empty.
        factor: from values in the results to values as they are drawn.
        logarithmic: whether the scale is.
        colours: name of the colour map.
    """

    title: str
    unit: str
    factor: float
    logarithmic: bool
    colours: str

    @property
    def label(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


def is_norm(metric: str) -> bool:
    """Whether a metric is a norm of parameters, which is drawn as contours over the others."""
    return metric.split("(")[0] == "norm"


def is_probe(metric: str) -> bool:
    """Whether a metric is a probe's accuracy."""
    return "/" not in metric and not is_norm(metric)


def scale_of(metric: str) -> Scale:
    """The scale of a metric, by its name.

    >>> scale_of("test/error").label, scale_of("train/kl_divergence").label
    ('test error (%)', 'train KL divergence (nats)')
    >>> scale_of("linear(standardise=True)").label, scale_of("norm(part='encoder')").label
    ('linear probe, standardise=True, accuracy (%)', "norm, part='encoder'")
    """
    split, _, name = metric.rpartition("/")
    kind, _, options = name.rstrip(")").partition("(")
    options = f", {options}" if options else ""
    words = kind.replace("_", " ")
    if is_norm(metric):
        return Scale(words + options, "", 1.0, False, NEUTRAL)
    if is_probe(metric):
        comma = "," if options else ""
        return Scale(f"{_PROBES.get(kind, words)}{options}{comma} accuracy", "%", 100.0, False, HIGH_IS_GOOD)
    if kind == "accuracy":
        return Scale(f"{split} accuracy{options}", "%", 100.0, False, HIGH_IS_GOOD)
    if kind == "error":
        return Scale(f"{split} error{options}", "%", 100.0, False, LOW_IS_GOOD)
    title, unit, logarithmic = _LOSSES.get(kind, (words, "", False))
    return Scale(f"{split} {title}{options}", unit, 1.0, logarithmic, LOW_IS_GOOD)


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
    found = values[np.isfinite(values) & (values > 0 if logarithmic else True)]
    if not found.size:
        return 0.1, 1.0
    low, high = float(found.min()), float(found.max())
    if logarithmic:
        low = max(float(np.quantile(found, _LOWEST, method="lower")), SMALLEST * high)
    if low < high:
        return low, high
    return (low / 2, 2 * high) if logarithmic else (low - 0.5, high + 0.5)


def spread_widely(values: Iterable[float | None]) -> bool:
    """Whether values are all positive and differ so much that a linear axis would hide the small ones."""
    found = numbers(list(values))
    found = found[np.isfinite(found)]
    return bool(found.size) and bool(found.min() > 0) and bool(found.max() / found.min() > 50)
