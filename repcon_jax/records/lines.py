"""JSON lines that only grow, so that a kill costs at most the line that was being written."""

import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any


def append_lines(file: pathlib.Path, values: Iterable[Any]) -> None:
    """Writes one line a value and waits until they are on disk; a line that was cut short swallows none."""
    text = file.read_text() if file.exists() else ""
    start = "\n" if text and not text.endswith("\n") else ""
    with file.open("a") as stream:
        stream.write(start + "".join(json.dumps(value) + "\n" for value in values))
        stream.flush()
        os.fsync(stream.fileno())


def read_lines(file: pathlib.Path) -> list[Any]:
    """All whole lines of a file, in the order of writing; none where it is missing."""
    values = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            values.append(json.loads(line))
        except ValueError:
            continue
    return values
