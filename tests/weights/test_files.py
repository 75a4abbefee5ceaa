"""Files of tensors: what is written is read, PyTorch's without PyTorch, and nothing of a pickle is run."""

import collections
import io
import os
import pickle
import sys
import types
import zipfile

import ml_dtypes
import numpy as np
import pytest

from repcon_jax.errors import CheckpointError
from repcon_jax.weights import read_tensors, write_tensors
from repcon_jax.weights.files import read_metadata

TENSORS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
    "b": np.float16([1.5, -2]),
    "c": np.array(7),
}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)


def test_safetensors_and_npz_hold_what_was_written(tmp_path):
    write_tensors(tmp_path / "new" / "a.safetensors", TENSORS, {"format": "pt"})
    assert_same(read_tensors(tmp_path / "new" / "a.safetensors"), TENSORS)
    assert read_metadata(tmp_path / "new" / "a.safetensors") == {"format": "pt"}
    np.savez(tmp_path / "a.npz", **TENSORS)
    assert_same(read_tensors(tmp_path / "a.npz"), TENSORS)
    assert read_metadata(tmp_path / "a.npz") == {}


class Storage:
    """What a tensor's numbers lie in, by the number that its file has."""

    def __init__(self, kind, key, numbers):
        self.kind, self.key, self.numbers = kind, key, np.asarray(numbers)


class Stored:
    """A tensor as torch.save writes it."""

    def __init__(self, storage, offset, size, stride):
        self.arguments = (storage, offset, size, stride, False, collections.OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class TorchPickler(pickle.Pickler):
    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        return ("storage", getattr(sys.modules["torch"], value.kind), value.key, "cpu", value.numbers.size)


@pytest.fixture
def save(monkeypatch, tmp_path):
    """Writes the zip file of torch.save without PyTorch: its pickle names what it needs of the package, no more."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in ("FloatStorage", "BFloat16Storage", "LongStorage"):
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise AssertionError

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2, torch._utils = _rebuild_tensor_v2, utils
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def write(value, storages, name="network.pth"):
        pickled = io.BytesIO()
        TorchPickler(pickled, 2).dump(value)
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("network/data.pkl", pickled.getvalue())
            archive.writestr("network/version", "3\n")
            for storage in storages:
                archive.writestr(f"network/data/{storage.key}", storage.numbers.tobytes())
        return tmp_path / name

    return write


def test_tensors_of_torch_save_are_read_without_it(save):
    floats = Storage("FloatStorage", "0", np.arange(10, dtype=np.float32))
    halves = Storage("BFloat16Storage", "1", np.array([1.5, -2], ml_dtypes.bfloat16))
    counts = Storage("LongStorage", "2", np.array([3], np.int64))
    state = collections.OrderedDict(
        turned=Stored(floats, 2, (3, 2), (1, 3)),
        half=Stored(halves, 0, (2,), (1,)),
        count=Stored(counts, 0, (), ()),
        empty=Stored(counts, 0, (0, 4), (4, 1)),
    )
    found = read_tensors(save({"epoch": 3, "model": state}, [floats, halves, counts]))
    assert_same(
        found,
        {
            "model.turned": np.float32([[2, 5], [3, 6], [4, 7]]),
            "model.half": halves.numbers,
            "model.count": np.array(3),
            "model.empty": np.zeros((0, 4), np.int64),
        },
    )


class Evil:
    """Runs code where it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_pickle_is_not_run(save, tmp_path):
    trace = tmp_path / "trace"
    with pytest.raises(
        CheckpointError, match=r"is not read, since it holds a posix.mkdir and .* run code of the file; load it"
    ):
        read_tensors(save({"a": Evil(trace)}, []))
    assert not trace.exists()


@pytest.mark.parametrize(("offset", "size", "stride"), [(5, (6,), (1,)), (0, (2, 2), (9, 1)), (0, (2,), (-1,))])
def test_a_tensor_beyond_its_storage_is_refused(save, offset, size, stride):
    floats = Storage("FloatStorage", "0", np.arange(10, dtype=np.float32))
    with pytest.raises(CheckpointError, match="a tensor in it reaches beyond its storage"):
        read_tensors(save({"a": Stored(floats, offset, size, stride)}, [floats]))


@pytest.mark.parametrize("name", ["a.safetensors", "a.npz", "a.pth"])
def test_damaged_files_are_refused_in_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"not what it says")
    with pytest.raises(CheckpointError) as refusal:
        read_tensors(tmp_path / name)
    sentence = str(refusal.value)
    assert name in sentence
    assert sentence.endswith(".")


def test_other_files_and_no_files_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"a.h5 ends in '.h5' but must end in one of .safetensors, .npz, .pth"):
        read_tensors(tmp_path / "a.h5")
    with pytest.raises(CheckpointError, match="does not exist or is no file; correct the path"):
        read_tensors(tmp_path / "a.npz")
    with pytest.raises(CheckpointError, match=r"must end in .safetensors, the format that is written"):
        write_tensors(tmp_path / "a.pth", TENSORS, {})


def test_numbers_that_are_objects_are_not_read_from_npz(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    with pytest.raises(CheckpointError, match=r"is truncated or no .npz file of arrays"):
        read_tensors(tmp_path / "a.npz")
