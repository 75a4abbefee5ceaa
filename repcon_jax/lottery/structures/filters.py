"""Whole filters and neurons."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ArgumentError, TreeError
from repcon_jax.lottery.counting import kept_count
from repcon_jax.lottery.masks import check_mask
from repcon_jax.lottery.selection import select
from repcon_jax.lottery.structure import STRUCTURES, Aggregate, Structure, aggregated, masked
from repcon_jax.models import Layer, Model, declared
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import PyTree


@STRUCTURES.register("filters")
def filters(*, aggregate: Aggregate = "l2") -> Structure:
    """The filters of every prunable kernel, at the same density in each, with what is theirs of bias and norm.

    So ``remove_dead_units`` takes them out of the network. The density of the weights is a little above the one asked
    for, where a number of filters is rounded. The last layer must not be prunable, since its filters are the outputs.
    A distribution over layers is not used, since a filter's size differs from layer to layer.

    Args:
        aggregate: of a filter's scores, see ``filter_scores``.
    """

    def prune(
        scores: PyTree, mask: PyTree, prunable: PyTree, density: float, distribution: str, model: Model | None
    ) -> PyTree:
        del distribution
        architecture, chosen = declared(model), named_leaves(prunable)
        for path in architecture.last_layers:
            if chosen[f"{path}/kernel"]:
                raise ArgumentError(
                    "prunable",
                    f"has '{path}/kernel', but its filters are the outputs",
                    "take the rules 'kernels_but_output'",
                )
        return filter_mask(scores, mask, filter_counts(mask, prunable, density), architecture.layers, aggregate)

    return prune


def filter_scores(scores: PyTree, aggregate: Aggregate = "l2") -> dict[str, np.ndarray]:
    """One score per filter, that is per output channel or neuron, [outputs] float64 by the path of its kernel.

    A filter is a kernel's entries at one index of the last axis. Leaves of fewer than two axes have none.

    Args:
        scores: floats with the shapes of the parameters.
        aggregate: ``l2`` is the root of the entries' summed squares, ``sum`` keeps the sign of signed scores.

    >>> filter_scores({"kernel": jnp.array([[3.0, 1.0], [4.0, 0.0]])})["kernel"].tolist()
    [5.0, 1.0]
    """
    kernels = {name: leaf for name, leaf in named_leaves(scores).items() if np.ndim(leaf) > 1}
    return {name: aggregated(leaf, tuple(range(leaf.ndim - 1)), aggregate) for name, leaf in kernels.items()}


def filter_counts(mask: PyTree, prunable: PyTree, density: float) -> dict[str, int]:
    """How many filters every prunable kernel keeps at one density for all, ``kept_count(filters, density)`` by path."""
    chosen = named_leaves(prunable)
    kernels = {name: leaf for name, leaf in named_leaves(mask).items() if chosen[name] and np.ndim(leaf) > 1}
    return {name: kept_count(leaf.shape[-1], density) for name, leaf in kernels.items()}


def filter_mask(
    scores: PyTree, mask: PyTree, keep: Mapping[str, int], layers: Sequence[Layer], aggregate: Aggregate = "l2"
) -> PyTree:
    """The mask without the filters of smallest score, and without their entries of the bias and of the norm after them.

    Of the filters that the mask does not yet prune whole, exactly as many as asked for are kept, the earlier ones at
    a tie; within them the mask stays as it is. The scale and bias of the normalisation go too, since a shift would
    still be added where a filter's output is pruned.

    Args:
        scores: floats with the shapes of the mask; pruned entries do not contribute.
        mask: booleans.
        keep: number of filters by the path of the kernel, such as ``filter_counts``.
        layers: as declared, which say what bias and normalisation a kernel has.
        aggregate: of a filter's scores, see ``filter_scores``.
    Raises:
        TreeError: the trees do not fit, a path is no declared kernel's, or fewer filters are left than asked for.
    """
    check_mask(mask, scores)
    kernels = {name: np.asarray(leaf) for name, leaf in named_leaves(mask).items() if np.ndim(leaf) > 1}
    alive = {name: leaf.any(axis=tuple(range(leaf.ndim - 1))) for name, leaf in kernels.items()}
    kept = select(filter_scores(masked(scores, mask), aggregate), alive, keep)
    beside = {layer.kernel: layer.beside_kernel for layer in layers}
    for kernel in keep:
        if kernel not in beside:
            raise TreeError(f"{kernel!r} is no layer's that the model declares; keep it whole, or declare its layer.")
    by_leaf = {name: kept[kernel] for kernel in keep for name in (kernel, *beside[kernel])}
    return map_named(lambda name, leaf: jnp.asarray(leaf & by_leaf[name] if name in by_leaf else leaf), mask)
