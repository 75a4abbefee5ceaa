"""Features on disk, by what they are made of, so that no measurement that is asked for later computes them again."""

import contextlib
import hashlib
import json
import os
import pathlib
import uuid
import zipfile
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError

Kept = Literal["float32", "float16", "none"]
Features = Float[Array, "examples size"]


class FeatureStore:
    """One file for every network, layer and set of images; the folder may be deleted at any time.

    Args:
        folder: made when something is kept.
        kept: the type of what is kept; with ``float16`` features are rounded whether they are read or computed.
    """

    def __init__(self, folder: pathlib.Path, kept: Kept) -> None:
        """Nothing is read yet."""
        self._folder, self._kept = folder, kept

    def features(self, about: dict[str, Any], compute: Callable[[], Features]) -> Features:
        """What was kept, or else what is computed now.

        Args:
            about: everything that the features depend on, as JSON values.
            compute: makes them.
        """
        if self._kept == "none":
            return compute()
        name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
        path = self._folder / f"{name}.{self._kept}.npz"
        known = _read(path)
        if known is None:
            known = self._rounded(compute())
            _write(path, known)
        return jnp.asarray(known, jnp.float32)

    def _rounded(self, computed: Features) -> np.ndarray:
        computed = np.asarray(computed)
        if self._kept == "float16" and (largest := float(np.abs(computed).max())) > float(np.finfo(np.float16).max):
            problem = f"is 'float16', which ends at 65504, but features reach {largest:.3g}"
            raise ArgumentError("feature_cache", problem, "set it to 'float32'")
        return computed.astype(self._kept)


def _read(path: pathlib.Path) -> np.ndarray | None:
    """What lies there; None where nothing does, or where it is damaged: an archive checks itself, and is made anew."""
    damaged = OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile
    # Opened here because NumPy leaves a file open that it cannot read.
    with contextlib.suppress(*damaged), path.open("rb") as file, np.load(file) as archive:
        return archive["features"]
    return None


def _write(path: pathlib.Path, features: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, features=features)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
