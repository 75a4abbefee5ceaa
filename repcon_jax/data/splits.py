"""From the data section of a config to the splits that a run needs."""

import dataclasses

import numpy as np
from jaxtyping import Float32

from repcon_jax.data.config import DataConfig
from repcon_jax.data.dataset import Dataset, SplitError
from repcon_jax.data.loading import load
from repcon_jax.data.pixels import channel_statistics, resize, to_rgb
from repcon_jax.data.subsets import holdout, label_noise, select_classes, stratified_subset


@dataclasses.dataclass(frozen=True, eq=False)
class Splits:
    """What a run trains and is measured on.

    Args:
        train: all training examples that were chosen.
        fit: ``train`` without ``validation``, for choosing hyperparameters.
        validation: examples of ``train`` that are held out, None with ``holdout`` 0.
        test: the data set's test examples, else its official validation examples, None where it has neither.
        mean, std: channel statistics of ``train``, in units of the range [0, 1].
    """

    train: Dataset
    fit: Dataset
    validation: Dataset | None
    test: Dataset | None
    mean: Float32[np.ndarray, " c"]
    std: Float32[np.ndarray, " c"]


def prepare_splits(config: DataConfig) -> Splits:
    """Loads and chooses the data of a run: classes, subset, label noise, channels, size, validation.

    Label noise changes training and validation labels, never those of the test set.

    Raises:
        DataError: the data set can't be loaded or does not fit the request, see ``load`` and the operations.
        ConfigError: an option of the source is unknown or has a wrong type.

    >>> splits = prepare_splits(DataConfig("digits", subset=100, holdout=0.2))
    >>> len(splits.train), len(splits.fit), len(splits.validation)
    (100, 80, 20)
    """
    train = _load(config, config.train_split)
    if config.subset is not None:
        train = stratified_subset(train, config.subset, config.subset_seed)
    train = _change_pixels(config, train)
    if config.label_noise:
        train = label_noise(train, config.label_noise, config.subset_seed)
    fit, validation = holdout(train, config.holdout, config.subset_seed) if config.holdout else (train, None)
    mean, std = channel_statistics(train)
    return Splits(train, fit, validation, _load_test(config), mean, std)


def _load(config: DataConfig, split: str) -> Dataset:
    dataset = load(config.name, split, data_dir=config.data_dir, cache_dir=config.cache_dir, **config.options)
    return select_classes(dataset, config.classes) if config.classes else dataset


def _load_test(config: DataConfig) -> Dataset | None:
    for split in ("test", "validation"):
        try:
            return _change_pixels(config, _load(config, split))
        except SplitError:
            continue
    return None


def _change_pixels(config: DataConfig, dataset: Dataset) -> Dataset:
    if config.rgb:
        dataset = to_rgb(dataset)
    return dataset if config.image_size is None else resize(dataset, config.image_size, config.resize_mode)
