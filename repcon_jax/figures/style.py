"""Colours, titles and bands that all figures share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]
Series = tuple[np.ndarray, np.ndarray, np.ndarray]

COLOURS = {"input": "0.45", "teacher": "tab:orange", "student": "tab:blue", "encoder": "tab:blue"}


def band(rows: Rows, name: str, factor: float = 1.0) -> Series:
    """Epochs, mean and standard deviation over seeds (0 for one seed) of a metric, at the epochs all seeds reached.

    Args:
        rows: of every seed.
        name: of the metric.
        factor: what its values are multiplied with.
    """
    by_seed: dict[int, dict[float, float]] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], {})[row["epoch"]] = row[name]
    epochs = sorted(set.intersection(*(set(values) for values in by_seed.values())))
    table = np.array([[factor * values[epoch] for epoch in epochs] for values in by_seed.values()])
    std = table.std(axis=0, ddof=1) if len(table) > 1 else np.zeros(len(epochs))
    return np.array(epochs), table.mean(axis=0), std


def describe_point(values: Mapping[str, Any]) -> str:
    """A point in words.

    >>> describe_point({"locality": 0.5, "learning_rate": 0.001})
    'locality 0.5, learning rate 0.001'
    """
    return ", ".join(f"{axis.rpartition('.')[2].replace('_', ' ')} {value}" for axis, value in values.items())
