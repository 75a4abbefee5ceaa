"""Finding the permutation that brings one network's weights closest to another's."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment

from repcon_jax.errors import check_range
from repcon_jax.models import Blocks
from repcon_jax.random import stream
from repcon_jax.symmetry.permute import Permutations
from repcon_jax.symmetry.spec import PermutationSpec, as_blocks, split_shape
from repcon_jax.trees import check_same_shapes, named_leaves
from repcon_jax.typing import Key, Params

_Weights = dict[str, np.ndarray]


class _Place(NamedTuple):
    """An axis of a leaf along which a group's units lie."""

    name: str
    number: int
    axis: str | Blocks

    def by_unit(self, weights: _Weights) -> np.ndarray:
        """[units, everything else]."""
        units_first = np.moveaxis(self._split(weights), self.number + 1, 0)
        return units_first.reshape(len(units_first), -1)

    def permute(self, weights: _Weights, change: np.ndarray) -> None:
        weights[self.name] = self._split(weights).take(change, self.number + 1).reshape(weights[self.name].shape)

    def _split(self, weights: _Weights) -> np.ndarray:
        leaf = weights[self.name]
        return leaf.reshape(split_shape(leaf.shape, self.number, self.axis))


# Sums of products in double precision are known to about this relative precision; a smaller gain may be rounding.
_LEAST_GAIN = 1e-12


@dataclasses.dataclass(frozen=True)
class MatchingInfo:
    """How a matching went.

    Args:
        inner_products: of the reference and the permuted network, before the first sweep and after each; never
            decreasing.
        sweeps: number of sweeps over all groups.
        converged: whether the last sweep improved nothing.
    """

    inner_products: tuple[float, ...]
    sweeps: int
    converged: bool


def match_weights(
    spec: PermutationSpec, reference: Params, other: Params, key: Key, max_sweeps: int = 100
) -> tuple[Permutations, MatchingInfo]:
    """Permutations of ``other`` that bring it close to ``reference``, by coordinate ascent.

        maximise over P  <reference, P(other)>,  which minimises |reference - P(other)|

    One group's permutation at a time is set to its optimum given all others, a linear assignment problem with
    costs [units, units]; sweeps over the groups, in random order, end when one improves nothing. That is a local
    optimum: the problem as a whole is NP-hard, and the key decides which is found.

    Args:
        spec: covers both.
        reference, other: parameters of one architecture; the work is done in float64 on the host.
        key: for the order of the sweeps.
        max_sweeps: at least 1.
    Returns:
        The permutations to be given to ``apply_permutation`` with ``other`` and its model state, and how it went.
    Raises:
        TreeError: the networks differ in structure or shape.
        ArgumentError: there is no sweep.

    Source: Ainsworth et al., arXiv 2209.04836, section 3.2 and algorithm 1.
    """
    check_range("max_sweeps", max_sweeps, 1)
    check_same_shapes({"reference": reference, "other": other})
    fixed, moving = (_in_float64(tree) for tree in (reference, other))
    orders = {group: np.arange(size) for group, size in spec.sizes.items()}
    places = {group: _places(spec, group, fixed) for group in orders}
    least_gain = _LEAST_GAIN * _length(fixed) * _length(moving)
    products, improved = [_inner_product(fixed, moving)], True
    while improved and len(products) <= max_sweeps:
        improved = False
        for group in _shuffled(list(orders), stream(key, "sweep", len(products))):
            change, gain = _best_change(places[group], fixed, moving)
            if gain > least_gain:
                improved = True
                orders[group] = orders[group][change]
                for place in places[group]:
                    place.permute(moving, change)
        products.append(_inner_product(fixed, moving))
    permutations = {group: jnp.asarray(order, jnp.int32) for group, order in orders.items()}
    return permutations, MatchingInfo(tuple(products), len(products) - 1, not improved)


def _in_float64(tree: Params) -> _Weights:
    return {name: np.asarray(leaf, np.float64) for name, leaf in named_leaves(tree).items()}


def _places(spec: PermutationSpec, group: str, weights: _Weights) -> list[_Place]:
    return [
        _Place(name, number, axis)
        for name in weights
        for number, axis in enumerate(spec.axes[name])
        if axis is not None and as_blocks(axis).group == group
    ]


def _best_change(places: list[_Place], fixed: _Weights, moving: _Weights) -> tuple[np.ndarray, float]:
    """The order of a group's units in which they match best, and what the inner product gains by it."""
    products = sum(place.by_unit(fixed) @ place.by_unit(moving).T for place in places)
    rows, change = linear_sum_assignment(products, maximize=True)
    return change, float(products[rows, change].sum() - np.trace(products))


def _inner_product(first: _Weights, second: _Weights) -> float:
    return float(sum(np.vdot(first[name], second[name]) for name in first))


def _length(weights: _Weights) -> float:
    return _inner_product(weights, weights) ** 0.5


def _shuffled(names: list[str], key: Key) -> list[str]:
    return [names[i] for i in np.asarray(jax.random.permutation(key, len(names)))]
