"""Structured masks: whole filters, whole attention heads, and n of every m inputs."""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ConfigError, check_range
from repcon_jax.lottery.counting import kept_count
from repcon_jax.lottery.masks import check_mask
from repcon_jax.lottery.selection import check_comparable, select
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import PyTree

Aggregate = Literal["l2", "sum"]

_JOINT = "query_key_value"


def filter_scores(scores: PyTree, aggregate: Aggregate = "l2") -> dict[str, np.ndarray]:
    """One score per filter, that is per output channel or neuron, [outputs] float64 by the path of its kernel.

    A filter is a kernel's entries at one index of the last axis. Leaves of fewer than two axes have none.

    Args:
        scores: floats with the shapes of the parameters.
        aggregate: ``l2`` is the root of the entries' summed squares, ``sum`` keeps the sign of signed scores.

    >>> {path: found.tolist() for path, found in filter_scores({"kernel": jnp.array([[3.0, 1.0], [4.0, 0.0]])}).items()}
    {'kernel': [5.0, 1.0]}
    """
    kernels = {name: leaf for name, leaf in named_leaves(scores).items() if np.ndim(leaf) > 1}
    return {name: _aggregate(leaf, tuple(range(leaf.ndim - 1)), aggregate) for name, leaf in kernels.items()}


def filter_counts(mask: PyTree, prunable: PyTree, density: float) -> dict[str, int]:
    """How many filters every prunable kernel keeps at one density for all, ``kept_count(filters, density)`` by path."""
    may = named_leaves(prunable)
    kernels = {name: leaf for name, leaf in named_leaves(mask).items() if may[name] and np.ndim(leaf) > 1}
    return {name: kept_count(leaf.shape[-1], density) for name, leaf in kernels.items()}


def filter_mask(scores: PyTree, mask: PyTree, keep: Mapping[str, int], aggregate: Aggregate = "l2") -> PyTree:
    """The mask without the filters of smallest score, and without their entries of the bias in the same module.

    Of the filters that the mask does not yet prune whole, exactly as many as asked for are kept, the earlier ones at
    a tie; within them the mask stays as it is. Normalisations after the layer are not touched: their shift is still
    added where a filter's output is gone.

    Args:
        scores: floats with the shapes of the mask; pruned entries do not contribute.
        mask: booleans.
        keep: number of filters by the path of the kernel, such as ``filter_counts``.
        aggregate: of a filter's scores, see ``filter_scores``.
    Raises:
        TreeError: the trees do not fit, a path is no kernel's, or fewer filters are left than asked for.
    """
    check_mask(mask, scores)
    kernels = {name: np.asarray(leaf) for name, leaf in named_leaves(mask).items() if np.ndim(leaf) > 1}
    alive = {name: leaf.any(axis=tuple(range(leaf.ndim - 1))) for name, leaf in kernels.items()}
    kept = select(filter_scores(_masked(scores, mask), aggregate), alive, keep)
    by_leaf = {name: kept[name] for name in keep} | {_sibling(name, "bias"): kept[name] for name in keep}
    return map_named(lambda name, leaf: jnp.asarray(leaf & by_leaf[name] if name in by_leaf else leaf), mask)


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
        found[module] = _aggregate(np.concatenate(rows, axis=1), (1,), aggregate)
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
    totals = attention_scores(_masked(scores, mask), num_heads, aggregate)
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


def n_of_m_mask(scores: PyTree, n: int = 2, m: int = 4, prunable: PyTree | None = None) -> PyTree:
    """The mask that keeps, of every m consecutive inputs of every output, exactly the n of largest score.

    The inputs of a kernel [*window, inputs, outputs] are all its axes but the last in row-major order, the axis that
    its matrix product sums over: with a number of inputs that m divides, groups are m neighbouring channels at one
    position of the window. A last group of fewer than m inputs is kept whole. At a tie earlier inputs are kept.

    Args:
        scores: floats with the shapes of the parameters, larger is kept.
        n, m: how many of how many.
        prunable: a Python bool per leaf; None is all leaves. Leaves that are not prunable and those of fewer than two
            axes are kept whole.
    Raises:
        ConfigError: n is not from 1 to m.
        TreeError: a score is NaN.

    >>> n_of_m_mask({"kernel": jnp.array([[1.0], [4.0], [3.0], [2.0], [0.0]])})["kernel"].ravel().tolist()
    [False, True, True, False, True]
    """
    check_range("lottery.n", n, 1, m)
    may = None if prunable is None else named_leaves(prunable)

    def keep(name: str, leaf: Any) -> jax.Array:
        if np.ndim(leaf) < 2 or (may is not None and not may[name]):
            return jnp.ones(leaf.shape, bool)
        values = np.asarray(leaf).astype(np.float64)
        check_comparable(values, name)
        return jnp.asarray(_n_of_m(values, n, m))

    return map_named(keep, scores)


def _n_of_m(leaf: np.ndarray, n: int, m: int) -> np.ndarray:
    rows = leaf.reshape(-1, leaf.shape[-1])
    whole = len(rows) - len(rows) % m
    groups = rows[:whole].reshape(-1, m, rows.shape[-1])
    # A stable order puts earlier inputs first at a tie.
    best = np.argsort(-groups, axis=1, kind="stable")[:, :n]
    chosen = np.zeros(groups.shape, bool)
    np.put_along_axis(chosen, best, True, axis=1)
    kept = np.ones(rows.shape, bool)
    kept[:whole] = chosen.reshape(whole, -1)
    return kept.reshape(leaf.shape)


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


def _aggregate(leaf: Any, axes: tuple[int, ...], aggregate: Aggregate) -> np.ndarray:
    values = np.asarray(leaf).astype(np.float64)
    return np.sqrt(np.sum(values * values, axis=axes)) if aggregate == "l2" else np.sum(values, axis=axes)


def _masked(scores: PyTree, mask: PyTree) -> PyTree:
    return jax.tree.map(lambda score, kept: np.where(np.asarray(kept), np.asarray(score), 0), scores, mask)


def _sibling(path: str, name: str) -> str:
    return "/".join([*path.split("/")[:-1], name])
