"""The values measured so far along one surface, on disk: a line a point, so that a kill costs one chunk."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from repcon_jax.errors import CheckpointError
from repcon_jax.records.lines import append_lines, read_lines

At = tuple[float, ...]


class PointStore:
    """Metrics by coordinate, in a file that only grows.

    Args:
        file: JSON lines; the first says what surface it is.
        about: what must be the same for values to be reused, such as digests of the networks.
    Raises:
        CheckpointError: the file holds the values of another surface.
    """

    def __init__(self, file: pathlib.Path, about: dict[str, Any]) -> None:
        """Reads what is there; a last line that a kill cut short is dropped."""
        self._file = file
        self._known: dict[At, dict[str, float]] = {}
        lines = read_lines(file)
        if lines and lines[0].get("about") != json.loads(json.dumps(about)):
            raise CheckpointError(
                f"{file} holds values of other networks or another surface; move it away or use another work directory."
            )
        for line in lines[1:]:
            self._known.setdefault(tuple(line["at"]), {}).update(line["values"])
        if not lines:
            append_lines(file, [{"about": about}])

    def missing(self, coordinates: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Those of the coordinates [points, dimensions] at which a metric is not known yet."""
        known = [set(names) <= self._known.get(at, {}).keys() for at in _keys(coordinates)]
        return coordinates[~np.array(known, bool)]

    def add(self, coordinates: np.ndarray, values: dict[str, np.ndarray]) -> None:
        """Writes metrics {name: [points]} at coordinates [points, dimensions]."""
        lines = []
        for i, at in enumerate(_keys(coordinates)):
            row = {name: float(column[i]) for name, column in values.items()}
            self._known.setdefault(at, {}).update(row)
            lines.append({"at": at, "values": row})
        append_lines(self._file, lines)

    def values(self, coordinates: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Metrics {name: [points]} at coordinates that are all known."""
        rows = [self._known[at] for at in _keys(coordinates)]
        return {name: np.array([row[name] for row in rows]) for name in names}


def as_json(values: np.ndarray | np.floating) -> Any:
    """Nested lists, or a number, in which None stands for what is not finite, as JSON has no word for it.

    >>> as_json(np.array([[1.0, np.inf]]))
    [[1.0, None]]
    """
    return np.where(np.isfinite(values), values, None).tolist()


def _keys(coordinates: np.ndarray) -> list[At]:
    """Coordinates as float32 sees them, which is how they are evaluated."""
    return [tuple(float(x) for x in row) for row in np.asarray(coordinates, np.float32)]
