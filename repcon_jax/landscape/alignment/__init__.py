"""Alignment: permuting one network's hidden units to match another's, which changes nothing that it computes."""

from repcon_jax.landscape.alignment.architectures import permutation_spec
from repcon_jax.landscape.alignment.permute import (
    apply_permutation,
    identity_permutation,
    inverse_permutation,
    random_permutation,
)
from repcon_jax.landscape.alignment.spec import Blocks, PermutationSpec, build_spec
from repcon_jax.landscape.alignment.weight_matching import MatchingInfo, match_weights

__all__ = [
    "Blocks",
    "MatchingInfo",
    "PermutationSpec",
    "apply_permutation",
    "build_spec",
    "identity_permutation",
    "inverse_permutation",
    "match_weights",
    "permutation_spec",
    "random_permutation",
]
