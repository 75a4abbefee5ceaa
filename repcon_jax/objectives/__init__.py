"""What is minimised. One file a method: it registers a builder whose keyword arguments are its config options."""

import dataclasses
from collections.abc import Callable, Mapping

from repcon_jax.models import Model, Network, Pixels
from repcon_jax.options.registry import Registry
from repcon_jax.training.durations import Clock
from repcon_jax.typing import ModelState, Params

OBJECTIVES = Registry("objective", "repcon_jax.objectives")


@dataclasses.dataclass(frozen=True)
class Context:
    """What a run offers to an objective's builder.

    Args:
        model: encoder with head; params and state have the subtrees ``encoder`` and ``head``.
        pixels: what it expects of images, from the statistics of the training data; None for images as they are.
        clock: turns durations into steps.
        num_views: (global, local) views of an image in a batch.
        load: path and part of a checkpoint -> its network; the only way to the disk.
        teachers: the networks that ``config.teachers`` names, each with its own architecture and pixels.
    """

    model: Model
    pixels: Pixels | None
    clock: Clock
    num_views: tuple[int, int]
    load: Callable[[str, str], Network]
    teachers: Mapping[str, Network] = dataclasses.field(default_factory=dict)

    def network(self, params: Params, model_state: ModelState) -> Network:
        """The network of this run's model with given parameters."""
        return Network(params, model_state, self.model, self.pixels)


__all__ = ["OBJECTIVES", "Context"]
