"""From scores to masks: exactly as many of the largest scores are kept as were asked for."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ArgumentError, TreeError
from repcon_jax.lottery.allocation import Counts, PrunableLeaf, allocate
from repcon_jax.lottery.counting import kept_count
from repcon_jax.lottery.masks import check_mask
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import PyTree


def prune_to_density(
    scores: PyTree, mask: PyTree, prunable: PyTree, density: float, distribution: str = "global"
) -> PyTree:
    """The mask nested in ``mask`` that keeps the largest scores at an overall density of the prunable entries.

    Args:
        scores: floats with the shapes of the mask, larger is kept.
        mask: booleans; only entries that it keeps compete.
        prunable: a Python bool per leaf; the other leaves stay as they are and do not count.
        density: of all prunable entries, those pruned before included.
        distribution: how the count is shared among layers, see ``allocation``.
    Raises:
        UserError: as ``keep_counts`` and ``select``.

    >>> scores, mask = {"w": jnp.array([3.0, 1.0, 2.0, 0.0])}, {"w": jnp.ones(4, bool)}
    >>> prune_to_density(scores, mask, {"w": True}, 0.5)["w"].tolist()
    [True, False, True, False]
    """
    return select(scores, mask, keep_counts(mask, prunable, density, distribution), prunable)


def keep_counts(mask: PyTree, prunable: PyTree, density: float, distribution: str = "global") -> Counts:
    """How many entries every prunable leaf keeps at an overall density.

    Overall that is ``kept_count(total, density)`` exactly, where total counts all entries of prunable leaves, those
    pruned before included.

    Args:
        mask: booleans.
        prunable: a Python bool per leaf.
        density: of all prunable entries.
        distribution: a name or call, see ``allocate``.
    Returns:
        Integers by path, or one integer where all layers compete.
    Raises:
        ArgumentError: the mask keeps fewer entries than asked for.
        ConfigError: the distribution does not exist.
    """
    chosen = named_leaves(prunable)
    layers = {
        name: PrunableLeaf(tuple(np.shape(leaf)), int(np.count_nonzero(leaf)))
        for name, leaf in named_leaves(mask).items()
        if chosen[name]
    }
    total, now = sum(layer.total for layer in layers.values()), sum(layer.kept for layer in layers.values())
    kept = kept_count(total, density)
    if kept > now:
        raise ArgumentError(
            "density",
            f"is {density!r}, {kept} of {total} prunable entries, but the mask keeps {now} and no entry comes back",
            "take a density that is at most the mask's",
        )
    return allocate(distribution, layers, kept)


def select(scores: PyTree, mask: PyTree, keep: Counts | Mapping[str, int], prunable: PyTree | None = None) -> PyTree:
    """The mask that keeps exactly the given numbers of entries, those of the largest scores.

    All above the k-th largest score are kept, and of those equal to it as many as are missing, the first ones in
    flatten order: by path as in ``named_leaves``, then by row-major index. Only entries that ``mask`` keeps compete,
    so masks are nested over rounds.

    Args:
        scores: floats with the shapes of the mask, larger is kept; infinities are allowed.
        mask: booleans.
        keep: numbers by path, for leaves that compete within themselves while all others stay as they are, or one
            number for all prunable leaves together.
        prunable: a Python bool per leaf, which matters where ``keep`` is one number; None is all leaves.
    Returns:
        Booleans in the structure of ``mask``.
    Raises:
        TreeError: the trees do not fit, a path is unknown, a number is not between 0 and what the mask keeps, or a
            competing score is NaN.

    >>> tied = {"a": jnp.array([1.0, 1.0]), "b": jnp.array([1.0, 2.0])}
    >>> mask = select(tied, {"a": jnp.array([False, True]), "b": jnp.ones(2, bool)}, 2)
    >>> mask["a"].tolist(), mask["b"].tolist()
    ([False, True], [False, True])
    """
    check_mask(mask, scores)
    values, masks = ({name: np.asarray(leaf) for name, leaf in named_leaves(tree).items()} for tree in (scores, mask))
    if isinstance(keep, Mapping):
        _check_paths(keep, masks)
        groups = [([name], number) for name, number in keep.items()]
    else:
        competes = named_leaves(prunable) if prunable is not None else dict.fromkeys(masks, True)
        groups = [([name for name in masks if competes[name]], keep)]
    chosen: dict[str, np.ndarray] = {}
    for names, number in groups:
        chosen |= _keep_largest(names, values, masks, number)
    return map_named(lambda name, leaf: jnp.asarray(chosen.get(name, leaf)), mask)


def check_comparable(scores: np.ndarray, where: str) -> None:
    """Raises TreeError where a score is NaN, which is neither larger nor smaller than another.

    Args:
        scores: of any shape.
        where: path of their leaf, for the message.
    """
    if np.isnan(scores).any():
        raise TreeError(f"a score is NaN at {where!r} but scores must be comparable; correct the criterion's inputs.")


def _keep_largest(
    names: Sequence[str], values: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], number: int
) -> dict[str, np.ndarray]:
    competing = np.concatenate([_as_float(values[name])[masks[name]] for name in names])
    where = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    if not 0 <= number <= len(competing):
        raise TreeError(
            f"{number} entries are to be kept at {where!r} but the mask keeps {len(competing)} there and no entry "
            f"comes back; take a number from 0 to {len(competing)}."
        )
    check_comparable(competing, where)
    kept = _largest(competing, number)
    ends = np.cumsum([np.count_nonzero(masks[name]) for name in names])[:-1]
    chosen = {}
    for name, part in zip(names, np.split(kept, ends), strict=True):
        chosen[name] = np.zeros(masks[name].shape, bool)
        chosen[name][masks[name]] = part
    return chosen


def _largest(values: np.ndarray, number: int) -> np.ndarray:
    """Which of the values [n] are the largest, [n], earlier ones at a tie."""
    if number == 0:
        return np.zeros(len(values), bool)
    threshold = np.partition(values, len(values) - number)[len(values) - number]
    kept = values > threshold
    tied = np.flatnonzero(values == threshold)
    kept[tied[: number - np.count_nonzero(kept)]] = True
    return kept


def _as_float(leaf: np.ndarray) -> np.ndarray:
    # bfloat16 is foreign to numpy's partition.
    return leaf.astype(np.promote_types(leaf.dtype, np.float32), copy=False)


def _check_paths(keep: Mapping[str, int], masks: Mapping[str, np.ndarray]) -> None:
    for name in keep:
        if name not in masks:
            raise TreeError(
                f"a count is given for {name!r} but the mask has no such leaf; take one of {', '.join(masks)}."
            )
