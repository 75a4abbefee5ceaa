"""What is left when weights go: masks, criteria, distributions, schedules, structure."""

from repcon_jax.lottery.criterion import CRITERIA, Criterion, Evidence, build_criterion, score
from repcon_jax.lottery.masks import (
    counts,
    density,
    full_mask,
    hamming_distance,
    intersection,
    is_nested,
    layer_densities,
    mask_agreement,
    shuffle_within_layers,
    sign_agreement,
    sparsity,
    union,
)
from repcon_jax.lottery.prunable import prunable
from repcon_jax.lottery.removal import remove_dead_units
from repcon_jax.lottery.schedules import parse_densities
from repcon_jax.lottery.selection import prune_to_density, select
from repcon_jax.lottery.structure import STRUCTURES, build_structure
from repcon_jax.lottery.structures.filters import filter_mask, filter_scores
from repcon_jax.lottery.structures.heads import attention_mask
from repcon_jax.lottery.structures.n_of_m import n_of_m_mask
from repcon_jax.lottery.widths import with_any_widths

__all__ = [
    "CRITERIA",
    "STRUCTURES",
    "Criterion",
    "Evidence",
    "attention_mask",
    "build_criterion",
    "build_structure",
    "counts",
    "density",
    "filter_mask",
    "filter_scores",
    "full_mask",
    "hamming_distance",
    "intersection",
    "is_nested",
    "layer_densities",
    "mask_agreement",
    "n_of_m_mask",
    "parse_densities",
    "prunable",
    "prune_to_density",
    "remove_dead_units",
    "score",
    "select",
    "shuffle_within_layers",
    "sign_agreement",
    "sparsity",
    "union",
    "with_any_widths",
]
