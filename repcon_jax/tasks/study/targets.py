"""The targets of a study: their data, loaded once and checked before anything is trained, and what is drawn of it."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int32

from repcon_jax.data import Dataset, Splits, prepare_splits, stratified_subset
from repcon_jax.errors import ConfigError, UserError
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.measurements import Measurement
from repcon_jax.tasks.study.subject import Part

Indices = Int32[np.ndarray, " drawn"]
Draw = tuple[int | None, int]
"""Training examples of each class, None for all, and the number of the draw."""

Built = Mapping[str, Measurement]


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A data set that networks are measured on.

    Args:
        splits: of the data set, the test set no larger than the study asks for.
        draws: indices of the training examples of every draw, ascending; none where nothing is fitted.
    """

    splits: Splits
    draws: Mapping[Draw, Indices]

    @functools.cached_property
    def pool(self) -> Indices:
        """The training examples of all draws, ascending: no others are ever embedded."""
        return np.unique(np.concatenate(list(self.draws.values())))

    @functools.cached_property
    def digests(self) -> dict[Part, str]:
        """Of images and labels, part by part, which tell the data from another."""
        return {part: data_digest(data) for part in ("train", "test") if (data := getattr(self.splits, part))}

    def about(self) -> dict[str, Any]:
        """What the data is and what was drawn of it, as JSON values: sizes and digests."""
        parts = {part: data for part in ("train", "test") if (data := getattr(self.splits, part))}
        return {
            "name": self.splits.train.name,
            "classes": self.splits.train.num_classes,
            "examples": {part: len(data) for part, data in parts.items()},
            "digests": self.digests,
            "draws": [
                {"shots": shots, "draw": draw, "digest": _short(indices.tobytes())}
                for (shots, draw), indices in sorted(self.draws.items(), key=str)
            ],
        }

    def examples(self, part: Part) -> Dataset:
        """What is embedded of a part of the data: the pool, or all test examples."""
        return self.splits.test if part == "test" else self.splits.train.take(self.pool)


def data_digest(data: Dataset) -> str:
    """A digest of images and labels."""
    content = hashlib.sha256(np.ascontiguousarray(data.images))
    if data.labels is not None:
        content.update(np.ascontiguousarray(data.labels))
    return _short(content.digest())


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def draws_of(config: StudyConfig, measurement: Measurement) -> list[Draw]:
    """The draws for which a measurement is made."""
    if not (measurement.fits and config.shots):
        return [(None, 0)]
    return [(shots, draw) for shots in config.shots for draw in range(1 if shots is None else config.draws)]


def draw_shots(train: Dataset, shots: int | None, seed: int, draw: int = 0) -> Indices:
    """Indices of ``shots`` random examples of every class, ascending; all examples for None.

    A larger number of the same seed and draw adds to a smaller one.

    Args:
        train: labelled, where a number is given.
        shots: of each class, at most the size of the smallest.
        seed: of the study.
        draw: number of the draw.
    """
    if shots is None:
        return np.arange(len(train), dtype=np.int32)
    random = np.random.default_rng([seed, draw])
    chosen = [random.permutation(np.flatnonzero(train.labels == label))[:shots] for label in range(train.num_classes)]
    return np.sort(np.concatenate(chosen)).astype(np.int32)


def load_targets(config: StudyConfig) -> dict[str, Target]:
    """The targets by name.

    Raises:
        UserError: a data set cannot be had, or has no labels, test set or examples that a measurement needs.
    """
    built, targets = config.built_measurements(), {}
    fitting = {name: measurement for name, measurement in built.items() if measurement.fits}
    for name, data in config.targets.items():
        field = f"targets.{name}"
        try:
            splits = prepare_splits(data)
        except UserError as error:
            raise ConfigError(f"{field}: {error}") from error
        _check_parts(field, splits, built)
        _check_sizes(field, splits.train, fitting, config.shots)
        draws = {draw for measurement in fitting.values() for draw in draws_of(config, measurement)}
        indices = {(shots, number): draw_shots(splits.train, shots, config.seed, number) for shots, number in draws}
        targets[name] = Target(_limited(splits, config), indices)
    return targets


def _check_parts(field: str, splits: Splits, built: Built) -> None:
    """Checks that there are a test set and labels for all who need them."""
    for name, measurement in built.items():
        labelled = bool(measurement.needs & {"labels", "training"})
        parts = [] if not measurement.has_target else [splits.train, splits.test]
        if None in parts or (labelled and any(part.labels is None for part in parts)):
            raise ConfigError(
                f"{field} is {splits.train.name!r}, which lacks {'labels or ' if labelled else ''}a test set, but "
                f"measurements.{name} needs {'both' if labelled else 'one'}; choose other data or drop the measurement."
            )


def _check_sizes(field: str, train: Dataset, fitting: Built, shots: tuple[int | None, ...]) -> None:
    """Checks that every class has the shots asked for, and that the fewest examples drawn are enough to fit on."""
    numbers = [number for number in shots if number is not None]
    if fitting and numbers:
        counts = np.bincount(train.labels, minlength=train.num_classes)
        if max(numbers) > counts.min():
            raise ConfigError(
                f"shots is {shots} but class {train.class_names[counts.argmin()]!r} of {field} has {counts.min()} "
                "training examples; correct --config.shots or choose more data."
            )
    fewest = min(numbers) * train.num_classes if numbers else len(train)
    for name, measurement in fitting.items():
        if fewest < measurement.examples_needed:
            raise ConfigError(
                f"measurements.{name} needs {measurement.examples_needed} training examples but {fewest} are drawn of "
                f"{field}; raise --config.shots or correct --config.measurements.{name}."
            )


def _limited(splits: Splits, config: StudyConfig) -> Splits:
    test, most = splits.test, config.test_examples
    if test is None or most is None or most >= len(test):
        return splits
    return dataclasses.replace(splits, test=stratified_subset(test, most, config.seed))
