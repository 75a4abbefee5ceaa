"""n of every m inputs, the pattern that sparse tensor cores multiply at twice the speed with 2 of 4."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.lottery.counting import exact
from repcon_jax.lottery.masks import intersection
from repcon_jax.lottery.selection import check_comparable
from repcon_jax.lottery.structure import STRUCTURES, Structure
from repcon_jax.models import Model
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import PyTree


@STRUCTURES.register("n_of_m")
def n_of_m(*, m: int = 4) -> Structure:
    """Exactly density * m of every m consecutive inputs of every output, see ``n_of_m_mask``.

    The density must be a multiple of 1 / m, and is that of every layer.

    Args:
        m: inputs of a group.
    """
    check_range("m", m, 1)

    def prune(
        scores: PyTree, mask: PyTree, prunable: PyTree, density: float, distribution: str, model: Model | None
    ) -> PyTree:
        del distribution, model
        n = exact(density) * m
        if n.denominator != 1:
            raise ArgumentError(
                "density",
                f"is {density!r} but the structure 'n_of_m' with m={m} keeps multiples of 1/{m}",
                f"take a schedule such as densities(values=({(m - 1) / m}, {1 / m}))",
            )
        # What is pruned already has the smallest scores, but is needed where a short group must be filled.
        return intersection(n_of_m_mask(scores, int(n), m, prunable), mask)

    return prune


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
        ArgumentError: n is not from 1 to m.
        TreeError: a score is NaN.

    >>> n_of_m_mask({"kernel": jnp.array([[1.0], [4.0], [3.0], [2.0], [0.0]])})["kernel"].ravel().tolist()
    [False, True, True, False, True]
    """
    check_range("n", n, 1, m)
    chosen = None if prunable is None else named_leaves(prunable)

    def keep(name: str, leaf: Any) -> jax.Array:
        if np.ndim(leaf) < 2 or (chosen is not None and not chosen[name]):
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
