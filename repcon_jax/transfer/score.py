"""What a transfer score is, and the registry that finds ``repcon_jax/transfer/scores/``."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Array, Float, Int

from repcon_jax.options.registry import Registry
from repcon_jax.records.scores import Score

TRANSFER_SCORES = Registry("transfer_score", "repcon_jax.transfer.scores")


@dataclass(frozen=True)
class TransferScore:
    """A number that is to predict how well a network transfers to a target.

    Args:
        value: features [examples, size], labels [examples] in 0 .. num_classes - 1, num_classes, and, where
            ``needs_logits``, the network's logits [examples, outputs] -> a float32 scalar.
        score: what the number means.
        needs_logits: whether it reads the network's own outputs.
    """

    value: Callable[..., Float[Array, ""]]
    score: Score
    needs_logits: bool = False


Features = Float[Array, "examples size"]
Labels = Int[Array, " examples"]
