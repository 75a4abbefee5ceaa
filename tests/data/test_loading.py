import builtins
import logging
import shutil
import sys

import numpy as np
import pytest

import repcon_jax.data.cache as cache
from repcon_jax.data import load
from repcon_jax.data.dataset import SplitError
from repcon_jax.errors import ConfigError, DataError


def same(a, b):
    labels = (a.labels is b.labels) or np.array_equal(a.labels, b.labels)
    return np.array_equal(a.images, b.images) and labels and a.class_names == b.class_names


def by_content(dataset):
    """TFDS shuffles what it prepares."""
    return sorted((image.tobytes(), label) for image, label in zip(dataset.images, dataset.labels, strict=True))


@pytest.fixture
def source(tfds_source, tmp_path):
    """A copy that a test may damage, and a fresh cache."""
    shutil.copytree(tfds_source, tmp_path / "tfds")
    return {"data_dir": str(tmp_path / "tfds"), "cache_dir": str(tmp_path / "cache")}


@pytest.fixture
def without_tfds(monkeypatch):
    """TFDS can't be imported."""
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)


def test_reads_what_tfds_prepared(source, tiny):
    train = load("tiny", **source)
    assert by_content(train) == by_content(tiny)
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int32)
    assert (train.name, train.split, train.class_names, train.num_classes) == ("tiny", "train", ("a", "b", "c"), 3)
    assert len(load("tiny", "test", **source)) == 7


def test_negative_labels_mean_unlabelled(source):
    for _ in ("decoded", "cached"):
        dataset = load("tiny", "unlabelled", **source)
        assert dataset.labels is None
        assert dataset.num_classes == 0


def test_second_load_comes_from_the_cache(source, monkeypatch):
    first = load("tiny", **source)
    monkeypatch.setattr("repcon_jax.data.loading.read_prepared", lambda *a: pytest.fail("decoded again"))
    assert same(load("tiny", **source), first)


def test_cache_alone_is_enough(source, without_tfds, monkeypatch):
    with monkeypatch.context() as context:
        context.delitem(sys.modules, "tensorflow_datasets")
        first = load("tiny", **source)
    shutil.rmtree(source["data_dir"])
    assert same(load("tiny", **source), first)
    with pytest.raises(SplitError, match="train, test, unlabelled"):
        load("tiny", "validation", **source)


def test_needs_tfds_only_to_decode(source, without_tfds):
    with pytest.raises(DataError, match=r"pip install tensorflow-datasets array-record importlib-resources"):
        load("tiny", **source)


@pytest.mark.parametrize("suffix", ["npz", "json"])
@pytest.mark.parametrize("damage", ["truncate", "tamper"])
def test_damaged_cache_is_detected(source, suffix, damage, caplog):
    first = load("tiny", **source)
    (path,) = (cache.cache_directory(source["cache_dir"]) / "tiny/1.0.0").glob(f"train.{suffix}")
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + (b"" if damage == "truncate" else b"\x00" + content[middle + 1 :]))
    with caplog.at_level(logging.WARNING):
        assert same(load("tiny", **source), first)
    assert "is corrupt" in caplog.text
    assert path.read_bytes() == content, "the cache was not rebuilt"
    path.write_bytes(content[:middle])
    shutil.rmtree(source["data_dir"])
    with pytest.raises(DataError, match=rf"{path.with_suffix('.npz')} is corrupt \(.*\); delete it"):
        load("tiny", **source)


def test_cache_of_another_source_is_stale(source, tiny, prepare_with_tfds):
    load("tiny", **source)
    shutil.rmtree(source["data_dir"])
    prepare_with_tfds(source["data_dir"], "tiny", {"train": (tiny.images[:9], tiny.labels[:9])})
    assert len(load("tiny", **source)) == 9


def test_unwritable_cache_only_warns(source, tmp_path, caplog):
    (tmp_path / "file").write_text("not a directory")
    with caplog.at_level(logging.WARNING):
        assert len(load("tiny", data_dir=source["data_dir"], cache_dir=str(tmp_path / "file"))) == 30
    assert "can't be cached" in caplog.text


def test_interrupted_write_leaves_no_trace(source, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load("tiny", **source)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_environment_names_the_directories(source, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", source["data_dir"])
    monkeypatch.setenv("REPCON_CACHE_DIR", source["cache_dir"])
    load("tiny")
    assert (cache.cache_directory(None) / "tiny/1.0.0/train.npz").exists()


@pytest.mark.parametrize("part", ["records", "info", "missing"])
def test_corrupt_source_names_the_file_and_the_fix(source, tmp_path, part):
    folder = tmp_path / "tfds/tiny/1.0.0"
    (shard,) = folder.glob("*-train.array_record*")
    path = folder / "dataset_info.json" if part == "info" else shard
    content = path.read_bytes()
    if part == "missing":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"(corrupt|missing).*run `python -m repcon_jax.data.prepare tiny`") as caught:
        load("tiny", **source)
    assert "tiny-train.array_record" in str(caught.value) or "dataset_info.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_prepared_says_the_command(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"`python -m repcon_jax.data.prepare cifar10 --data-dir .*`"):
        load("cifar10", data_dir=str(tmp_path), cache_dir=str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=r"run `python -m repcon_jax.data.prepare stl10`\."):
        load("stl10", cache_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("wrong", "right"), [("cifar1", "cifar10"), ("digit", "digits"), ("tinny", "tiny"), ("svhn_croped", "svhn_cropped")]
)
def test_unknown_name_gets_the_nearest(source, wrong, right):
    with pytest.raises(DataError, match=f"did you mean '{right}'"):
        load(wrong, **source)


@pytest.mark.parametrize("name", ["../tiny", "tiny/..", "", "tiny/../tiny"])
def test_names_are_not_paths(source, name):
    with pytest.raises(DataError, match="does not exist"):
        load(name, **source)


def test_unknown_split_names_the_splits(source):
    with pytest.raises(SplitError, match=r"no split 'valid'.*train, test, unlabelled"):
        load("tiny", "valid", **source)


def test_options_are_checked(source):
    with pytest.raises(ConfigError, match="image_size"):
        load("tiny", image_sizes=3, **source)
    with pytest.raises(ConfigError, match="must be int or None"):
        load("tiny", image_size="3", **source)


def test_images_of_many_sizes_need_a_size(tmp_path, prepare_with_tfds):
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (4 + i, 6, 3), np.uint8) for i in range(4)]
    constant = np.full((9, 5, 3), 77, np.uint8)
    prepare_with_tfds(tmp_path, "sizes", {"train": ([*images, constant], [0, 1, 2, 0, 1])})
    directories = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache")}
    with pytest.raises(DataError, match="give the option image_size"):
        load("sizes", **directories)
    resized = load("sizes", image_size=4, **directories)
    assert resized.images.shape == (5, 4, 4, 3)
    assert any((image == 77).all() for image in resized.images)


def test_several_configs_have_to_be_told_apart(source, tmp_path):
    folder = tmp_path / "tfds"
    shutil.move(folder / "tiny", folder / "red")
    (folder / "tiny").mkdir()
    shutil.move(folder / "red", folder / "tiny/red")
    assert len(load("tiny", **source)) == 30
    shutil.copytree(folder / "tiny/red", folder / "tiny/blue")
    with pytest.raises(DataError, match="tiny/blue, tiny/red"):
        load("tiny", **source)
    assert len(load("tiny/blue", **source)) == 30


def test_never_imports_tensorflow(source, monkeypatch):
    real_import = builtins.__import__

    def guarded(name, *args, **kwargs):
        assert name.split(".")[0] != "tensorflow", "TensorFlow was imported"
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    load("tiny", **source)


def test_cifar10(needs_cifar10, tmp_path):
    test = load("cifar10", "test", cache_dir=str(tmp_path))
    assert test.images.shape == (10_000, 32, 32, 3)
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert test.class_names[:3] == ("airplane", "automobile", "bird")
