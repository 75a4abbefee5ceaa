"""From networks to a network. One file a method."""

from repcon_jax.merging.method import MERGING_METHODS, Merge, check_mergeable
from repcon_jax.merging.weight_matching import MatchingInfo, match_weights

__all__ = ["MERGING_METHODS", "MatchingInfo", "Merge", "check_mergeable", "match_weights"]
