"""What a merging method is, and the registry that finds ``repcon_jax/merging/methods/``."""

from collections.abc import Callable, Sequence

from repcon_jax.models import Network
from repcon_jax.options.registry import Registry
from repcon_jax.trees import check_same_shapes

MERGING_METHODS = Registry("merging_method", "repcon_jax.merging.methods")

Merge = Callable[[Sequence[Network]], Network]
"""``merge(networks) -> network``, in the order in which they were named; most methods need one architecture."""


def check_mergeable(networks: Sequence[Network]) -> None:
    """Raises TreeError unless all networks have the parameters of the first."""
    check_same_shapes({f"network {i}": network.params for i, network in enumerate(networks, 1)})
