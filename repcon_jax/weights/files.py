"""Files of named tensors: safetensors, NumPy's .npz, and .pth of PyTorch without PyTorch."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from repcon_jax.errors import CheckpointError
from repcon_jax.weights.torch_files import read_torch

Tensors = dict[str, np.ndarray]


def read_tensors(path: pathlib.Path) -> Tensors:
    """The tensors of a file by name; those in nested dicts have names joined by dots.

    Args:
        path: a file that ends in .safetensors, .npz, .pth, .pt or .bin.
    Raises:
        CheckpointError: there is none, it is of another format, or it is damaged.
    """
    if path.suffix not in _READERS:
        suffix, known = path.suffix or "nothing", ", ".join(_READERS)
        raise CheckpointError(f"{path} ends in {suffix!r} but must end in one of {known}; convert it.")
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist or is no file; correct the path.")
    return dict(_named(_READERS[path.suffix](path)))


def read_metadata(path: pathlib.Path) -> dict[str, str]:
    """The texts that a safetensors file holds beside its tensors; nothing of other files."""
    if path.suffix != ".safetensors":
        return {}
    with safetensors.safe_open(path, "np") as file:
        return file.metadata() or {}


def write_tensors(path: pathlib.Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file.

    Args:
        path: that ends in .safetensors and does not exist.
        tensors: by name.
        metadata: texts to keep beside them.
    Raises:
        CheckpointError: it ends otherwise or cannot be written.
    """
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path} must end in .safetensors, the format that is written; rename it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It writes the bytes as they lie, whatever the order of the axes.
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        safetensors.numpy.save_file(contiguous, path, dict(metadata))
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be written ({error}); give another place.") from error


def _read_safetensors(path: pathlib.Path) -> Tensors:
    try:
        return safetensors.numpy.load_file(path)
    except Exception as error:  # of a type that NumPy lacks it raises what Python does
        raise CheckpointError(
            f"{path} is truncated, no safetensors file or of a type that NumPy lacks ({error}); get it as float32."
        ) from error


def _read_npz(path: pathlib.Path) -> Tensors:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file.items())
    except Exception as error:  # NumPy, zipfile and zlib raise many kinds for a damaged file
        raise CheckpointError(f"{path} is truncated or no .npz file of arrays ({error}); write it again.") from error


_READERS = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".pth": read_torch,
    ".pt": read_torch,
    ".bin": read_torch,
}


def _named(value: Any, prefix: str = "") -> list[tuple[str, np.ndarray]]:
    """The arrays in nested mappings; whatever else a training script kept beside them is left."""
    if isinstance(value, np.ndarray):
        return [(prefix, value)]
    parts = value.items() if isinstance(value, Mapping) else ()
    return [pair for name, part in parts for pair in _named(part, f"{prefix}.{name}" if prefix else str(name))]
