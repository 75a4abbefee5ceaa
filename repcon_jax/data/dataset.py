"""The one type that every source returns and every operation takes: images and labels in memory."""

import dataclasses

import numpy as np
from jaxtyping import Int32, UInt8

from repcon_jax.errors import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A split of labelled or unlabelled images; operations return a new one and never write into the arrays.

    Args:
        images: uint8 pixels, [example, height, width, channel].
        labels: class of each example, an index into ``class_names``; None where the data has no labels.
        class_names: one name per class, () without labels.
        name: name of the source, such as ``"cifar10"``.
        split: name of the split, such as ``"train"``.
    """

    images: UInt8[np.ndarray, "n h w c"]
    labels: Int32[np.ndarray, " n"] | None
    class_names: tuple[str, ...]
    name: str
    split: str

    @property
    def num_classes(self) -> int:
        """Number of classes, 0 without labels."""
        return len(self.class_names)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.images)

    def take(self, indices: Int32[np.ndarray, " m"]) -> "Dataset":
        """The examples at ``indices``, in that order."""
        labels = None if self.labels is None else self.labels[indices]
        return dataclasses.replace(self, images=self.images[indices], labels=labels)

    def __str__(self) -> str:
        """How messages name this data set."""
        return f"{self.name!r} ({self.split})"


def require_labels(dataset: Dataset, purpose: str) -> Int32[np.ndarray, " n"]:
    """The labels.

    Raises:
        DataError: the data set has none; ``purpose`` says what needed them.
    """
    if dataset.labels is None:
        raise DataError(f"data set {dataset} has no labels, which {purpose} needs; choose a labelled data set.")
    return dataset.labels


class SplitError(DataError):
    """The data set exists but has no split of the name asked for."""


def check_split(name: str, split: str, allowed: tuple[str, ...]) -> None:
    """Raises SplitError unless ``split`` is one of the ``allowed`` splits of data set ``name``."""
    if split not in allowed:
        raise SplitError(f"data set {name!r} has no split {split!r}; choose one of: {', '.join(allowed)}.")
