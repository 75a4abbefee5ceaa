"""Whole attention heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ArgumentError
from repcon_jax.lottery.counting import kept_count
from repcon_jax.lottery.masks import check_mask
from repcon_jax.lottery.selection import select
from repcon_jax.lottery.structure import STRUCTURES, Aggregate, Structure, aggregated, masked
from repcon_jax.models import Attention, Model
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import PyTree


@STRUCTURES.register("heads")
def heads(*, aggregate: Aggregate = "l2") -> Structure:
    """The heads of every attention that the model declares, at the same density in each; all other weights stay.

    What may be pruned and how a density is shared among layers is not asked: a head goes whole.

    Args:
        aggregate: of a head's scores, see ``filter_scores``.
    """

    def prune(
        scores: PyTree, mask: PyTree, prunable: PyTree, density: float, distribution: str, model: Model | None
    ) -> PyTree:
        del prunable, distribution
        attentions = model.architecture.attentions if model and model.architecture else ()
        if not attentions:
            raise ArgumentError("model", "declares no attention", "take a transformer, or prune filters")
        keep = {attention.path: kept_count(attention.num_heads, density) for attention in attentions}
        return attention_mask(scores, mask, attentions, keep, aggregate)

    return prune


def attention_scores(
    scores: PyTree, attentions: Sequence[Attention], aggregate: Aggregate = "l2"
) -> dict[str, np.ndarray]:
    """One score per head, [heads] float64 by the path of its attention, over all kernels of the attention.

    A head's entries are its columns of the kernels to queries, keys and values, and its rows of the output's.

    Args:
        scores: floats with the shapes of the parameters.
        attentions: as declared.
        aggregate: as in ``filter_scores``.
    """
    leaves, totals = {name: np.asarray(leaf) for name, leaf in named_leaves(scores).items()}, {}
    for attention in attentions:
        # Each head's entries as one row, so that the aggregate runs over all kernels at once.
        split = [_by_head(attention, name, leaves) for name in _kernels(attention)]
        rows = [np.moveaxis(leaf, axis, 0).reshape(attention.num_heads, -1) for leaf, axis in split]
        totals[attention.path] = aggregated(np.concatenate(rows, axis=1), (1,), aggregate)
    return totals


def attention_mask(
    scores: PyTree, mask: PyTree, attentions: Sequence[Attention], keep: Mapping[str, int], aggregate: Aggregate = "l2"
) -> PyTree:
    """The mask without the attention heads of smallest score: their queries, keys, values (kernel and bias) and rows.

    Every attention keeps exactly as many as asked for of the heads that the mask does not yet prune whole, the earlier
    ones at a tie; within them the mask stays as it is.

    Args:
        scores: floats with the shapes of the mask; pruned entries do not contribute.
        mask: booleans.
        attentions: as declared.
        keep: number of heads by the path of the attention.
        aggregate: as in ``filter_scores``.
    Raises:
        TreeError: the trees do not fit, or fewer heads are left than asked for.
    """
    check_mask(mask, scores)
    alive = {path: total > 0 for path, total in attention_scores(mask, attentions, "sum").items()}
    kept = select(attention_scores(masked(scores, mask), attentions, aggregate), alive, keep)
    attention_of = {
        name: attention
        for attention in attentions
        for name in (*_kernels(attention), *(f"{projection}/bias" for projection in attention.projections))
    }

    leaves = {name: np.asarray(leaf) for name, leaf in named_leaves(mask).items()}

    def drop(name: str, leaf: Any) -> jax.Array:
        if name not in attention_of:
            return jnp.asarray(leaf)
        by_head, axis = _by_head(attention_of[name], name, leaves)
        left = np.asarray(kept[attention_of[name].path])
        left = np.expand_dims(left, [other for other in range(by_head.ndim) if other != axis])
        return jnp.asarray((by_head & left).reshape(leaf.shape))

    return map_named(drop, mask)


def _kernels(attention: Attention) -> list[str]:
    return [f"{layer}/kernel" for layer in (*attention.projections, attention.output)]


def _by_head(attention: Attention, name: str, leaves: Mapping[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """A leaf of an attention with an axis of its heads, and which axis that is."""
    leaf, output = leaves[name], f"{attention.output}/kernel"
    size = leaves[output].shape[0] // attention.num_heads
    if name == output:
        return leaf.reshape(attention.num_heads, size, -1), 0
    return leaf.reshape(*leaf.shape[:-1], -1, attention.num_heads, size), leaf.ndim
