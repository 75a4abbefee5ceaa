"""From networks to a network."""

from repcon_jax.merging.weight_matching import MatchingInfo, match_weights

__all__ = ["MatchingInfo", "match_weights"]
