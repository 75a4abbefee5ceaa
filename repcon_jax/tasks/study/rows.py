"""The rows of a study on disk: one measured value a line, kept as it comes, so that a kill costs one."""

import hashlib
import json
import pathlib
from typing import Any

from repcon_jax.errors import CheckpointError
from repcon_jax.records.lines import append_lines, read_lines

Row = dict[str, Any]
"""Measurement, score, networks, target, shots, draw, layer, seed, value, which is None where it is not finite, details,
and the seconds that it took with what was computed for it."""

_FIELDS = frozenset({"measurement", "score", "networks", "target", "shots", "draw", "seed", "value"})
_LATER = frozenset({"layer", "details", "seconds"})  # rows of older versions lack them


class RowStore:
    """Rows by what they were measured of, in a file that only grows.

    Args:
        file: JSON lines.
    Raises:
        CheckpointError: the file holds something else.
    """

    def __init__(self, file: pathlib.Path) -> None:
        """Reads what is there; lines that a kill cut short are left out."""
        self._file = file
        self._known: dict[str, list[Row]] = {}
        for line in read_lines(file):
            rows = line.get("rows")
            if not isinstance(line.get("about"), str) or not isinstance(rows, list) or not all(map(_is_row, rows)):
                raise CheckpointError(f"{file} holds no rows of a study; move it away or use another work directory.")
            self._known[line["about"]] = rows

    def rows(self, about: dict[str, Any]) -> list[Row] | None:
        """What was measured of something; None where it was not measured yet."""
        return self._known.get(_digest(about))

    def add(self, about: dict[str, Any], rows: list[Row]) -> None:
        """Keeps what was measured.

        Args:
            about: everything that the values depend on, as JSON values, such as digests of networks.
            rows: none where there was nothing to measure.
        """
        append_lines(self._file, [{"about": _digest(about), "rows": rows}])
        self._known[_digest(about)] = rows


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and _FIELDS <= row.keys() <= _FIELDS | _LATER


def _digest(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
