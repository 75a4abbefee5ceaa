"""``load``: any data set by name, whether embedded, synthetic or prepared by TFDS."""

import difflib
import pathlib
import re
from typing import Any

from repcon_jax.data.cache import Entry, cache_directory, cached_splits, find, read, through_cache
from repcon_jax.data.dataset import Dataset, check_split
from repcon_jax.data.sources import SOURCES
from repcon_jax.data.tfds_source import data_directory, find_prepared, prepared_names, read_prepared
from repcon_jax.errors import ArgumentError, DataError, did_you_mean
from repcon_jax.options.schema import check_type

USUAL = ("cifar10", "cifar100", "fashion_mnist", "mnist", "stl10", "svhn_cropped")


def load(
    name: str, split: str = "train", *, data_dir: str | None = None, cache_dir: str | None = None, **options: Any
) -> Dataset:
    """A split of a data set as arrays in memory.

    Args:
        name: an embedded or synthetic source (``SOURCES.names()``), or a data set that TFDS has prepared in
            ``data_dir`` in the array_record format, with its config where it has one (``"builder/config"``).
        split: name of the split.
        data_dir: TFDS's directory; by default ``$TFDS_DATA_DIR`` or ``~/tensorflow_datasets``.
        cache_dir: where decoded arrays are kept; by default ``$REPCON_CACHE_DIR`` or ``~/.cache/repcon_jax``.
        **options: the source's own options; TFDS data sets have ``image_size``, the side to which the central
            square of every image is resized, and ``label``, such as CIFAR100's ``"coarse_label"``.
    Raises:
        DataError: the data set is unknown, not prepared, corrupt or has no such split.
        ConfigError: an option is unknown or has a wrong type.

    >>> load("digits", "test").images.shape
    (359, 8, 8, 1)
    """
    if name in SOURCES.names():
        return SOURCES.build(name, split, **options)
    return _load_tfds(name, split, data_directory(data_dir), cache_directory(cache_dir), options)


def _tfds_options(name: str, options: dict[str, Any]) -> tuple[int | None, str | None]:
    """The side of the images and the name of the label."""
    types = {"image_size": int | None, "label": str | None}
    for key, value in options.items():
        if key not in types:
            problem = f"is not an option of {name!r}"
            raise ArgumentError(key, problem, did_you_mean(key, types)).within(SOURCES.kind)
        check_type(f"{SOURCES.kind}.{key}", value, types[key])
    return options.get("image_size"), options.get("label")


def _load_tfds(
    name: str, split: str, data_dir: pathlib.Path, cache_dir: pathlib.Path, options: dict[str, Any]
) -> Dataset:
    # The name before the options: of an unknown data set no option is known either.
    prepared = find_prepared(name, data_dir) if re.fullmatch(r"\w+(/\w[\w.-]*)?", name) else None
    if prepared is None and not (cache_dir / name).is_dir():
        raise DataError(_unavailable(name, data_dir))
    image_size, label = _tfds_options(name, options)
    stem = "-".join([split, *([f"{image_size}px"] if image_size is not None else []), *([label] if label else [])])
    if prepared is not None:
        check_split(name, split, prepared.splits)
        path = cache_dir / name / prepared.version / f"{stem}.npz"
        entry = Entry(path, prepared.version, prepared.splits, prepared.source)
        return through_cache(entry, lambda: read_prepared(prepared, split, image_size, label))
    splits = cached_splits(cache_dir, name)
    if splits:
        check_split(name, split, splits)
    path = find(cache_dir, name, stem)
    dataset = None if path is None else read(path)
    if dataset is None:
        raise DataError(_unavailable(name, data_dir))
    return dataset


def _unavailable(name: str, data_dir: pathlib.Path) -> str:
    """The sentence for a data set that is neither prepared nor cached: how to prepare it, or that it is unknown."""
    if name.split("/")[0] not in _tfds_names():
        return unknown_name(name, data_dir)
    where = "" if data_dir == data_directory() else f" --data-dir {data_dir}"
    command = f"python -m repcon_jax.data.prepare {name}{where}"
    return f"data set {name!r} is not prepared in {data_dir}; run `{command}`."


def unknown_name(name: str, data_dir: pathlib.Path) -> str:
    """The sentence for a name that neither TFDS nor ``SOURCES`` knows, with the nearest of all valid names."""
    near = difflib.get_close_matches(name, _tfds_names(), n=1)
    allowed = {*SOURCES.names(), *USUAL, *prepared_names(data_dir), *near}
    return f"data set {name!r} does not exist; {did_you_mean(name, allowed)}."


def _tfds_names() -> list[str]:
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        return list(USUAL)
    return list(tfds.list_builders(with_community_datasets=False))
