"""Whole attention heads."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ConfigError
from repcon_jax.lottery.counting import kept_count
from repcon_jax.lottery.masks import check_mask
from repcon_jax.lottery.selection import select
from repcon_jax.lottery.structure import STRUCTURES, Aggregate, aggregated, masked
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import PyTree

_JOINT = "query_key_value"


@STRUCTURES.register("heads")
def heads(
    scores: PyTree,
    mask: PyTree,
    prunable: PyTree,
    density: float,
    distribution: str,
    *,
    num_heads: int = 3,
    aggregate: Aggregate = "l2",
) -> PyTree:
    """The heads of every attention, at the same density in each; all other weights stay.

    Args:
        scores, mask: floats and booleans with the shapes of the parameters.
        prunable: not used: a head goes whole.
        density: of the heads of each attention.
        distribution: not used.
        num_heads: of the transformer, as in ``config.training.encoder.num_heads``; the parameters do not tell.
        aggregate: of a head's scores, see ``filter_scores``.
    Raises:
        ConfigError: there is no attention, or the number of heads does not divide its size.
    """
    del prunable, distribution
    return attention_mask(scores, mask, num_heads, kept_count(num_heads, density), aggregate)


def attention_scores(scores: PyTree, num_heads: int, aggregate: Aggregate = "l2") -> dict[str, np.ndarray]:
    """One score per head, [heads] float64 by the path of its attention, over both kernels of a ``vit``'s attention.

    A head's entries are its columns of queries, keys and values in ``query_key_value/kernel``, whose outputs are
    ordered (query key value, head, component), and its rows of ``output/kernel``, ordered (head, component).

    Args:
        scores: floats with the shapes of the parameters.
        num_heads: of the transformer; the parameters do not tell.
        aggregate: as in ``filter_scores``.
    Raises:
        ConfigError: there is no such attention, or the number of heads does not divide its size.
    """
    leaves, found = named_leaves(scores), {}
    for module in _attentions(scores, num_heads):
        parts = [_by_head(name, leaves[name], num_heads) for name in _head_kernels(module)]
        # Each head's entries as one row, so that the aggregate runs over both kernels at once.
        rows = [np.moveaxis(part, axis, 0).reshape(num_heads, -1) for part, axis in parts]
        found[module] = aggregated(np.concatenate(rows, axis=1), (1,), aggregate)
    return found


def attention_mask(scores: PyTree, mask: PyTree, num_heads: int, keep: int, aggregate: Aggregate = "l2") -> PyTree:
    """The mask without the attention heads of smallest score: their queries, keys, values (kernel and bias) and rows.

    Every attention of a ``vit`` keeps exactly ``keep`` of the heads that the mask does not yet prune whole, the earlier
    ones at a tie; within them the mask stays as it is.

    Args:
        scores: floats with the shapes of the mask; pruned entries do not contribute.
        mask: booleans.
        num_heads: of the transformer; the parameters do not tell.
        keep: number of heads.
        aggregate: as in ``filter_scores``.
    Raises:
        ConfigError: there is no attention whose heads are told apart by the parameters' axes.
        TreeError: the trees do not fit, or fewer heads are left than asked for.
    """
    check_mask(mask, scores)
    alive = {name: found > 0 for name, found in attention_scores(mask, num_heads, "sum").items()}
    totals = attention_scores(masked(scores, mask), num_heads, aggregate)
    kept = select(totals, alive, dict.fromkeys(totals, keep))
    by_leaf = {
        name: heads for module, heads in kept.items() for name in [*_head_kernels(module), f"{module}/{_JOINT}/bias"]
    }

    def drop(name: str, leaf: Any) -> jax.Array:
        if name not in by_leaf:
            return jnp.asarray(leaf)
        by_head, axis = _by_head(name, leaf, num_heads)
        heads = np.expand_dims(np.asarray(by_leaf[name]), [other for other in range(by_head.ndim) if other != axis])
        return jnp.asarray((by_head & heads).reshape(leaf.shape))

    return map_named(drop, mask)


def _attentions(tree: PyTree, num_heads: int) -> list[str]:
    leaves = named_leaves(tree)
    modules = [name.removesuffix(f"/{_JOINT}/kernel") for name in leaves if name.endswith(f"/{_JOINT}/kernel")]
    if not modules:
        raise ConfigError(
            f"the network has no attention with a kernel '{_JOINT}' but heads are told apart in that of a vit alone; "
            "take such an encoder, or prune filters."
        )
    for module in modules:
        size = leaves[_head_kernels(module)[1]].shape[0]
        if num_heads < 1 or size % num_heads:
            raise ConfigError(
                f"lottery.num_heads is {num_heads} but must divide the {size} components at {module!r}; give the "
                "encoder's number of heads."
            )
    return modules


def _head_kernels(module: str) -> tuple[str, str]:
    return f"{module}/{_JOINT}/kernel", f"{module}/output/kernel"


def _by_head(name: str, leaf: Any, num_heads: int) -> tuple[np.ndarray, int]:
    """A leaf of an attention with an axis of its heads, and which axis that is."""
    array = np.asarray(leaf)
    if name.endswith("/output/kernel"):
        return array.reshape(num_heads, -1, array.shape[-1]), 0
    return array.reshape(*array.shape[:-1], 3, num_heads, -1), array.ndim
