"""What a measurement sees: one or two networks, a target, and the examples that were drawn from it."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Array, Float, Int32

from repcon_jax.data import Dataset, Splits
from repcon_jax.models import Network
from repcon_jax.typing import Key

Kind = Literal["features", "logits"]
Part = Literal["train", "test"]


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """One measurement's networks and examples.

    Args:
        networks: one, or two of a pair; merged ones have batch norm statistics of the target.
        splits: of the target; None for a measurement without one.
        drawn: indices of the training examples that may be fitted on.
        key: of what is drawn; the same for all networks.
        outputs: number of the network, kind, part -> the outputs of its layer or of its head for the training examples
            drawn or for all test examples, remembered.
        batch_size: images at once.
    """

    networks: tuple[Network, ...]
    splits: Splits | None
    drawn: Int32[np.ndarray, " drawn"]
    key: Key
    outputs: Callable[[int, Kind, Part], Float[Array, "examples size"]]
    batch_size: int = 256

    @property
    def network(self) -> Network:
        """The only one, or the first of a pair."""
        return self.networks[0]

    @property
    def num_classes(self) -> int:
        """Of the target."""
        return self.splits.train.num_classes

    @property
    def train(self) -> Dataset:
        """The training examples that were drawn."""
        return self.splits.train.take(self.drawn)

    @property
    def test(self) -> Dataset:
        """The examples that are scored on."""
        return self.splits.test

    def train_features(self, which: int = 0) -> Float[Array, "drawn size"]:
        """What a layer of one of the networks makes of the training examples that were drawn."""
        return self.outputs(which, "features", "train")

    def test_features(self, which: int = 0) -> Float[Array, "examples size"]:
        """What a layer of one of the networks makes of the test examples."""
        return self.outputs(which, "features", "test")

    def train_logits(self, which: int = 0) -> Float[Array, "drawn outputs"]:
        """What the head of one of the networks makes of the training examples that were drawn."""
        return self.outputs(which, "logits", "train")
