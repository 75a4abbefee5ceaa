"""Whole filters and neurons."""

import re
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ConfigError
from repcon_jax.lottery.counting import kept_count
from repcon_jax.lottery.masks import check_mask
from repcon_jax.lottery.prunable import LAST_LAYERS
from repcon_jax.lottery.selection import select
from repcon_jax.lottery.structure import STRUCTURES, Aggregate, aggregated, masked
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import PyTree


@STRUCTURES.register("filters")
def filters(
    scores: PyTree,
    mask: PyTree,
    prunable: PyTree,
    density: float,
    distribution: str,
    *,
    aggregate: Aggregate = "l2",
) -> PyTree:
    """The filters of every prunable kernel, at the same density in each, with what is theirs of bias and norm.

    So ``remove_dead_units`` takes them out of the network. The density of the weights is a little above the one asked
    for, where a number of filters is rounded.

    Args:
        scores, mask: floats and booleans with the shapes of the parameters.
        prunable: a Python bool per leaf.
        density: of the filters of each kernel.
        distribution: not used, since a filter's size differs from layer to layer.
        aggregate: of a filter's scores, see ``filter_scores``.
    Raises:
        ConfigError: the last layer may be pruned, whose filters are the outputs.
    """
    del distribution
    for name, may in named_leaves(prunable).items():
        if may and name.startswith(LAST_LAYERS):
            raise ConfigError(
                f"structure is 'filters' and {name!r} may be pruned, but its filters are the outputs; set "
                "--config.prunable=kernels_but_output."
            )
    return filter_mask(scores, mask, filter_counts(mask, prunable, density), aggregate)


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
    return {name: aggregated(leaf, tuple(range(leaf.ndim - 1)), aggregate) for name, leaf in kernels.items()}


def filter_counts(mask: PyTree, prunable: PyTree, density: float) -> dict[str, int]:
    """How many filters every prunable kernel keeps at one density for all, ``kept_count(filters, density)`` by path."""
    may = named_leaves(prunable)
    kernels = {name: leaf for name, leaf in named_leaves(mask).items() if may[name] and np.ndim(leaf) > 1}
    return {name: kept_count(leaf.shape[-1], density) for name, leaf in kernels.items()}


def filter_mask(scores: PyTree, mask: PyTree, keep: Mapping[str, int], aggregate: Aggregate = "l2") -> PyTree:
    """The mask without the filters of smallest score, and without their entries of the bias and of the norm after them.

    Of the filters that the mask does not yet prune whole, exactly as many as asked for are kept, the earlier ones at
    a tie; within them the mask stays as it is. The normalisation after ``conv1`` or ``linear1`` is its sibling
    ``norm1``; its scale and bias go too, since a shift would still be added where a filter's output is gone.

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
    kept = select(filter_scores(masked(scores, mask), aggregate), alive, keep)
    by_leaf = {name: kept[kernel] for kernel in keep for name in [kernel, *_attached(kernel)]}
    return map_named(lambda name, leaf: jnp.asarray(leaf & by_leaf[name] if name in by_leaf else leaf), mask)


def _attached(path: str) -> list[str]:
    """The paths of a filter's other entries: its bias, and scale and bias of the normalisation after its layer."""
    module = path.rpartition("/")[0]
    norm = re.sub(r"(linear|conv)(\d*)$", r"norm\2", module)
    return [f"{module}/bias", *([f"{norm}/scale", f"{norm}/bias"] if norm != module else [])]
