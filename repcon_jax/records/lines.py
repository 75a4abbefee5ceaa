"""JSON lines that only grow, so that a kill costs at most the line that was being written."""

import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from repcon_jax.errors import CheckpointError

_FIX = "move it away or use another work directory"


def append_lines(file: pathlib.Path, values: Iterable[Any]) -> None:
    """Writes one line a value and waits until they are on disk; a line that was cut short swallows none.

    Args:
        file: made with its folder if need be.
        values: objects that JSON can hold.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    start = "\n" if _is_cut_short(file) else ""
    with file.open("a") as stream:
        stream.write(start + "".join(json.dumps(value) + "\n" for value in values))
        stream.flush()
        os.fsync(stream.fileno())


def read_lines(file: pathlib.Path) -> list[dict[str, Any]]:
    """The objects of a file in the order of writing, without those that were cut short; none where it is missing.

    Raises:
        CheckpointError: the file holds something else than lines of JSON objects.
    """
    try:
        lines = file.read_text().splitlines() if file.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); {_FIX}.") from error
    values = []
    for number, line in enumerate(lines, 1):
        try:
            values.append(json.loads(line))
        except ValueError:
            if not line.startswith("{"):
                raise CheckpointError(f"line {number} of {file} is no JSON object; {_FIX}.") from None
    if not all(isinstance(value, dict) for value in values):
        raise CheckpointError(f"{file} holds other lines than JSON objects; {_FIX}.")
    return values


def _is_cut_short(file: pathlib.Path) -> bool:
    if not file.exists() or file.stat().st_size == 0:
        return False
    with file.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() != b"\n"
