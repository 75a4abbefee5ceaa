"""How well would a network transfer, read from features, logits and labels of the target. One file a score."""

from repcon_jax.transfer.score import TRANSFER_SCORES, TransferScore

__all__ = ["TRANSFER_SCORES", "TransferScore"]
