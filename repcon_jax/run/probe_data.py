"""The data that a run's representations are judged on."""

from repcon_jax.data import DataConfig, Splits, prepare_splits
from repcon_jax.errors import ConfigError
from repcon_jax.run.config import ExperimentConfig


def splits_to_probe(config: ExperimentConfig, splits: Splits) -> Splits | None:
    """The training data's own splits, or those of ``probe.data`` at the same size; None where nothing is probed.

    Args:
        config: of the run.
        splits: what it is trained on.
    Raises:
        UserError: the data does not fit the encoder, has no labels or no test set, or is too little for a probe.
    """
    if not config.probe.probes:
        return None
    if config.probe.data is not None:
        height, _, channels = splits.train.images.shape[1:]
        other = DataConfig(
            name=config.probe.data,
            data_dir=config.data.data_dir,
            cache_dir=config.data.cache_dir,
            image_size=height,
            resize_mode=config.data.resize_mode,
            rgb=channels == 3,
            holdout=config.data.holdout,
        )
        splits = prepare_splits(other)
        if splits.train.images.shape[3] != channels:
            raise ConfigError(
                f"probe.data is {config.probe.data!r} with {splits.train.images.shape[3]} channels but the encoder is "
                f"trained on {channels}; set --config.data.rgb=True or choose another probe.data."
            )
    if splits.train.labels is None or splits.test is None:
        raise ConfigError(
            f"probe.data is {config.probe.data!r} and data set {splits.train.name!r} has no labelled test split to "
            "probe on; name a labelled data set in --config.probe.data or set --config.probe.probes='()'."
        )
    if config.probe.during == "validation" and splits.validation is None:
        raise ConfigError(
            "data.holdout is 0, which leaves no validation part, but probe.during is 'validation'; "
            "set --config.data.holdout=0.1 or --config.probe.during=none."
        )
    _check_probe_size(config, splits)
    return splits


def _check_probe_size(config: ExperimentConfig, splits: Splits) -> None:
    part = splits.fit if config.probe.during == "validation" else splits.train
    size = min(len(part), config.probe.train_size or len(part))
    if size < config.probe.examples_needed():
        raise ConfigError(
            f"probe.probes is {config.probe.probes}, which needs {config.probe.examples_needed()} training examples, "
            f"but there are {size}; give more data, a larger probe.train_size or fewer neighbours."
        )
