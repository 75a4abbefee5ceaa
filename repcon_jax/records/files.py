"""Small files, written whole or not at all."""

import json
import os
import pathlib
from typing import Any

from repcon_jax.errors import CheckpointError


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Writes a text file so that a reader, or the next start after a kill, sees all of it or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    os.replace(temporary, path)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON atomically, indented."""
    write_atomically(path, json.dumps(value, indent=2) + "\n")


def read_json(path: pathlib.Path, *keys: str) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        path: the file.
        *keys: what the object must have.
    Raises:
        CheckpointError: the file is missing, damaged, no object or lacks a key.
    """
    try:
        value = json.loads(path.read_text())
        missing = [key for key in keys if key not in value]
        if not isinstance(value, dict) or missing:
            raise ValueError(f"it is no JSON object with {', '.join(keys) or 'fields'}")
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); move it away or use another work directory."
        ) from error
    return value
