"""From a network to the same network with something small to train. One file an adapter."""

from typing import Protocol

from repcon_jax.adapters.adapted import adapt, has_backbone
from repcon_jax.options.registry import Registry
from repcon_jax.typing import Key, Params

ADAPTERS = Registry("adapter", "repcon_jax.adapters")


class Adapter(Protocol):
    """What a builder in ``ADAPTERS`` returns: a frozen dataclass, since models are hashable, with two functions."""

    def init(self, key: Key, params: Params) -> Params:
        """The small parameters for an encoder's parameters; with them the encoder computes what it did before."""

    def merge(self, params: Params, small: Params) -> Params:
        """The encoder's parameters with the small ones worked in; of the structure and shapes of ``params``."""


__all__ = ["ADAPTERS", "Adapter", "adapt", "has_backbone"]
