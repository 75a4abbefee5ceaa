"""Decoded arrays on disk, so that a data set is decoded once and then loads in about a second.

A split is ``CACHE/NAME/VERSION/SPLIT.npz`` with ``SPLIT.json`` beside it, which holds the SHA-256 digest of the
arrays' file; a machine that has only these two files needs neither TFDS nor its data directory.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import uuid
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

from repcon_jax.data.dataset import Dataset
from repcon_jax.errors import DataError

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where one decoded split lies and what it was decoded from.

    Args:
        path: the arrays' file, ending in ``.npz``.
        version: version of the source data set.
        splits: every split of the source, decoded or not.
        source: digest that identifies the source's content; an entry with another one is stale.
    """

    path: pathlib.Path
    version: str
    splits: tuple[str, ...]
    source: str


def cache_directory(cache_dir: str | None = None) -> pathlib.Path:
    """``cache_dir``, else ``$REPCON_CACHE_DIR``, else ``~/.cache/repcon_jax``."""
    return pathlib.Path(cache_dir or os.environ.get("REPCON_CACHE_DIR") or "~/.cache/repcon_jax").expanduser()


def version_order(version: str) -> tuple[int, ...]:
    """Sort key of a version.

    >>> max(["9.0.0", "10.0.0"], key=version_order)
    '10.0.0'
    """
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))


def read(path: pathlib.Path, source: str | None = None) -> Dataset | None:
    """The data set cached at ``path``, after checking its digest.

    Args:
        path: the arrays' file.
        source: digest that the source has now; None where there is no source to compare with.
    Returns:
        None where nothing is cached or it was decoded from another source.
    Raises:
        DataError: a file is truncated, was tampered with or can't be read.
    """
    record_path = path.with_suffix(".json")
    if not (path.exists() and record_path.exists()):
        return None
    try:
        record = json.loads(record_path.read_text())
        if source is not None and record["source"] != source:
            return None
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != record["sha256"]:
                raise ValueError("its SHA-256 digest differs from the recorded one")
        with np.load(path, allow_pickle=False) as arrays:
            labels = arrays["labels"] if "labels" in arrays.files else None
            return Dataset(
                arrays["images"], labels, tuple(record["class_names"]), str(record["name"]), str(record["split"])
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the cached data {path} is corrupt ({error}); delete it and load the data set again."
        ) from None


def write(dataset: Dataset, entry: Entry) -> None:
    """Writes ``dataset`` atomically at ``entry.path``; where that is impossible, logs a warning and goes on."""
    arrays = {"images": dataset.images} | ({} if dataset.labels is None else {"labels": dataset.labels})
    record = {
        "name": dataset.name,
        "split": dataset.split,
        "class_names": dataset.class_names,
        "version": entry.version,
        "splits": entry.splits,
        "source": entry.source,
    }
    try:
        entry.path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(entry.path) as file:
            np.savez(file, **arrays)
            file.seek(0)
            record["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        with _replacing(entry.path.with_suffix(".json")) as file:
            file.write(json.dumps(record, indent=1).encode())
    except OSError as error:
        logger.warning("%s can't be cached and will be decoded again next time (%s)", dataset, error)


def find(directory: pathlib.Path, name: str, stem: str) -> pathlib.Path | None:
    """The newest version's arrays of ``name`` whose file is called ``stem``, None where nothing is cached."""
    versions = [path for path in (directory / name).glob("*/*.npz") if path.stem == stem]
    return max(versions, key=lambda path: version_order(path.parent.name), default=None)


def cached_splits(directory: pathlib.Path, name: str) -> tuple[str, ...]:
    """Every split of the source of which at least one split is cached, () where none is."""
    for path in sorted((directory / name).glob("*/*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            return tuple(json.loads(path.read_text())["splits"])
    return ()


@contextlib.contextmanager
def _replacing(path: pathlib.Path) -> Iterator[IO[bytes]]:
    """A temporary file that takes the place of ``path`` once it is written whole."""
    # Not tempfile: its files are private to the user, and a cache may be shared.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("w+b") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def through_cache(entry: Entry, decode: Callable[[], Dataset]) -> Dataset:
    """The cached data set where it is sound and fresh, else ``decode()``, which is then cached."""
    try:
        dataset = read(entry.path, entry.source)
    except DataError as error:
        logger.warning("decoding again: %s", error)
        dataset = None
    if dataset is None:
        dataset = decode()
        write(dataset, entry)
    return dataset
