"""What a measurement sees: one or two networks, a target, and the examples that were drawn from it."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float, Int32

from repcon_jax.data import Dataset, Splits
from repcon_jax.models import Network
from repcon_jax.typing import Key

Extract = Callable[[int, str], Float[Array, "examples size"]]


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """One measurement's networks and examples.

    Args:
        networks: one, or two of a pair.
        splits: of the target; None for a measurement without one.
        drawn: indices of the training examples that may be fitted on.
        key: of what is drawn; the same for all networks.
        extract: number of the network, part -> its embeddings of all examples of ``"train"`` or ``"test"``, remembered.
        recalibrate: network -> the same with batch norm statistics measured on the target's training images.
        batch_size: images at once.
    """

    networks: tuple[Network, ...]
    splits: Splits | None
    drawn: Int32[np.ndarray, " drawn"]
    key: Key
    extract: Extract
    recalibrate: Callable[[Network], Network]
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
        """Embeddings of the training examples that were drawn, by one of the networks."""
        return self.extract(which, "train")[self.drawn]

    def test_features(self, which: int = 0) -> Float[Array, "examples size"]:
        """Embeddings of the test examples, by one of the networks."""
        return self.extract(which, "test")

    def train_logits(self) -> jax.Array:
        """The network's own outputs for the training examples that were drawn, [drawn, outputs]."""
        images, size = self.train.images, self.batch_size
        parts = [self.network.apply(images[i : i + size])[0].logits for i in range(0, len(images), size)]
        return jax.numpy.concatenate(parts)
