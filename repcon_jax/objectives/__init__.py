"""What is minimised. One file a method: it registers a builder whose keyword arguments are its config options."""

import dataclasses
from collections.abc import Callable

from repcon_jax.models import Model
from repcon_jax.options.registry import Registry
from repcon_jax.training.durations import Clock
from repcon_jax.typing import ModelState, Params

OBJECTIVES = Registry("objective", "repcon_jax.objectives")


@dataclasses.dataclass(frozen=True)
class Context:
    """What a run offers to an objective's builder.

    Args:
        model: encoder with head; params and state have the subtrees ``encoder`` and ``head``.
        encoder, head: its parts alone.
        clock: turns durations into steps.
        num_views: (global, local) views of an image in a batch.
        load: path and part of a checkpoint -> (params, model_state); the only way to the disk.
    """

    model: Model
    encoder: Model
    head: Model
    clock: Clock
    num_views: tuple[int, int]
    load: Callable[[str, str], tuple[Params, ModelState]]


__all__ = ["OBJECTIVES", "Context"]
