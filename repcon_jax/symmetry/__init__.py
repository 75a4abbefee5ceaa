"""Symmetries: permuting a network's hidden units, which changes nothing that it computes."""

from repcon_jax.symmetry.permute import (
    apply_permutation,
    identity_permutation,
    inverse_permutation,
    random_permutation,
)
from repcon_jax.symmetry.spec import PermutationSpec, build_spec, permutation_spec

__all__ = [
    "PermutationSpec",
    "apply_permutation",
    "build_spec",
    "identity_permutation",
    "inverse_permutation",
    "permutation_spec",
    "random_permutation",
]
