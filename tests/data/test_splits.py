import numpy as np
import pytest

from repcon_jax.data import DataConfig, channel_statistics, load, prepare_splits
from repcon_jax.errors import ConfigError, DataError
from repcon_jax.options.schema import to_dataclass


def images_of(*datasets):
    return sorted(image.tobytes() for dataset in datasets for image in dataset.images)


def test_defaults_keep_everything():
    splits = prepare_splits(DataConfig("digits"))
    train = load("digits")
    assert np.array_equal(splits.train.images, train.images)
    assert np.array_equal(splits.test.images, load("digits", "test").images)
    assert images_of(splits.fit, splits.validation) == images_of(train)
    assert len(splits.validation) == round(0.1 * len(train))
    mean, std = channel_statistics(train)
    assert (splits.mean, splits.std) == (mean, std)


def test_everything_at_once():
    config = DataConfig(
        "digits", classes=(3, 5), subset=60, label_noise=0.25, holdout=0.2, image_size=10, resize_mode="pad", rgb=True
    )
    splits = prepare_splits(config)
    assert splits.train.images.shape == (60, 10, 10, 3)
    assert (len(splits.fit), len(splits.validation)) == (48, 12)
    assert splits.test.images.shape[1:] == (10, 10, 3)
    assert splits.test.class_names == ("3", "5")
    assert set(splits.test.labels) == {0, 1}
    clean = prepare_splits(DataConfig("digits", classes=(3, 5), subset=60))
    assert (splits.train.labels != clean.train.labels).sum() == 15
    assert np.array_equal(splits.train.images[:, 1:9, 1:9, :1], clean.train.images)


def test_seed_chooses_subset_and_validation():
    first, again, other = (prepare_splits(DataConfig("digits", subset=50, subset_seed=s)) for s in (0, 0, 1))
    assert images_of(first.validation) == images_of(again.validation)
    assert images_of(first.train) != images_of(other.train)


def test_unlabelled_source_without_a_test_set():
    splits = prepare_splits(DataConfig("gaussian_noise", options={"num_examples": 40, "image_size": 4}, subset=20))
    assert splits.test is None
    assert splits.train.labels is None
    assert (len(splits.fit), len(splits.validation)) == (18, 2)


def test_no_holdout():
    splits = prepare_splits(DataConfig("digits", holdout=0.0))
    assert splits.validation is None
    assert splits.fit is splits.train


def test_official_validation_stands_in_for_a_missing_test_set(tmp_path, tiny, prepare_with_tfds):
    prepare_with_tfds(
        tmp_path, "two", {s: (tiny.images[:n], tiny.labels[:n]) for s, n in (("train", 30), ("validation", 6))}
    )
    splits = prepare_splits(DataConfig("two", data_dir=str(tmp_path), cache_dir=str(tmp_path / "cache")))
    assert splits.test.split == "validation"
    assert len(splits.test) == 6


def test_missing_data_is_not_mistaken_for_a_missing_split(tmp_path):
    with pytest.raises(DataError, match=r"repcon_jax\.data\.prepare cifar10"):
        prepare_splits(DataConfig("cifar10", data_dir=str(tmp_path), cache_dir=str(tmp_path)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subset", 0),
        ("subset_seed", -1),
        ("label_noise", 1.5),
        ("holdout", 1.0),
        ("image_size", 0),
        ("classes", (1, 1)),
        ("classes", (-1,)),
        ("num_global", 0),
        ("num_local", -1),
    ],
)
def test_values_are_checked_at_construction(field, value):
    with pytest.raises(ConfigError, match=f"data.{field}"):
        to_dataclass(DataConfig, {"name": "digits", field: value}, "data")


def test_pipelines_and_options_are_checked_at_construction():
    with pytest.raises(ConfigError, match="did you mean 'flip'"):
        DataConfig("digits", global_augment="flp")
    with pytest.raises(ConfigError, match="did you mean 'image_size'"):
        DataConfig("digits", options={"imagesize": 3})


def test_built_from_a_config_file():
    options = {"num_examples": 100, "num_test": 10}
    config = to_dataclass(DataConfig, {"name": "scenes", "options": options, "classes": [1]})
    assert config.classes == (1,)
    assert len(prepare_splits(config).train) == 10
    with pytest.raises(ConfigError, match="resize_mode"):
        to_dataclass(DataConfig, {"name": "scenes", "resize_mode": "cubic"})
