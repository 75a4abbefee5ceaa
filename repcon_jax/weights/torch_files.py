"""Files of torch.save without PyTorch: nothing but tensors and containers of them is ever built from a pickle."""

import collections
import io
import pathlib
import pickle
import zipfile
from typing import Any

import ml_dtypes
import numpy as np

from repcon_jax.errors import CheckpointError

_TYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_CONVERT = "load it with PyTorch and save its state dict with safetensors.torch.save_file"


def read_torch(path: pathlib.Path) -> Any:
    """What torch.save wrote since PyTorch 1.6: nested containers of arrays, numbers and texts.

    Args:
        path: the file.
    Raises:
        CheckpointError: it is of another format, is damaged, or holds more than that.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (pickled,) = (name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"])
            return _TensorUnpickler(archive, pickled.removesuffix("data.pkl")).load()
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path} is not read, since {error}; {_CONVERT}.") from error
    except Exception as error:  # what is damaged or foreign fails anywhere in the archive and its pickle
        raise CheckpointError(
            f"{path} cannot be read as a zip file of torch.save ({type(error).__name__}); {_CONVERT}."
        ) from error


class _TensorUnpickler(pickle.Unpickler):
    """Knows a few names and refuses all others, so that no code of the file is run."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}data.pkl")), encoding="utf-8")
        self._archive, self._folder = archive, folder
        name = f"{folder}byteorder"
        self._order = archive.read(name).decode() if name in archive.namelist() else "little"

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TYPES:
            return np.dtype(_TYPES[name])
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it holds a {module}.{name} and reading that could run code of the file")
        return known[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, dtype, key = pid[:3]
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind!r} outside of its pickle")
        raw = self._archive.read(f"{self._folder}data/{key}")
        values = np.frombuffer(raw, dtype)
        return values if self._order == "little" else values.byteswap()


def _tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    """The tensor that a part of a storage is."""
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= storage.size):
        raise pickle.UnpicklingError("a tensor in it reaches beyond its storage")
    bytes_apart = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, bytes_apart, writeable=False).copy()


def _parameter(data: np.ndarray, *_: Any) -> np.ndarray:
    return data
