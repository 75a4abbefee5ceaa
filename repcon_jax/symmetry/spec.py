"""Which axes of which parameters a network's units lie along, declared by name."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp

from repcon_jax.errors import TreeError
from repcon_jax.trees import named_leaves
from repcon_jax.typing import PyTree


@dataclasses.dataclass(frozen=True)
class Blocks:
    """An axis of size outer * units * inner that counts the units of a group within blocks, as flattening makes it.

    Args:
        group: name of the group of units.
        outer: blocks along the axis; the pixels of a flattened image [height, width, channels].
        inner: consecutive entries of one unit; the pixels of a flattened image [channels, height, width].
    """

    group: str
    outer: int = 1
    inner: int = 1


Axis = str | Blocks | None
Axes = dict[str, tuple[Axis, ...]]


@dataclasses.dataclass(frozen=True)
class PermutationSpec:
    """The groups of units that may be permuted together without changing what a network computes.

    Args:
        axes: for each leaf, by its path as in ``trees.named_leaves``, one entry per axis: the name of the group of
            units along it, ``Blocks`` of them, or None where the axis is fixed.
        sizes: number of units of each group.
    """

    axes: Mapping[str, tuple[Axis, ...]]
    sizes: Mapping[str, int]


def as_blocks(axis: str | Blocks) -> Blocks:
    """The blocks of an axis; a bare name is one block with one entry per unit."""
    return Blocks(axis) if isinstance(axis, str) else axis


def split_shape(shape: tuple[int, ...], number: int, axis: str | Blocks) -> tuple[int, ...]:
    """The shape in which axis ``number`` becomes three: blocks, units and entries of a unit.

    >>> split_shape((8, 5), 0, Blocks("units", outer=2))
    (2, 4, 1, 5)
    """
    blocks = as_blocks(axis)
    units = shape[number] // (blocks.outer * blocks.inner)
    return (*shape[:number], blocks.outer, units, blocks.inner, *shape[number + 1 :])


def build_spec(axes: Mapping[str, tuple[Axis, ...]], *trees: PyTree) -> PermutationSpec:
    """The spec of some trees, checked to cover each of their leaves.

    Args:
        axes: entries by path; those of paths that no tree has are left out.
        *trees: parameters, model state, or their shapes.
    Raises:
        TreeError: a leaf is uncovered, has another number of axes than its entry, counts a group differently from
            other leaves or has it along two of its axes.

    >>> layer = {"kernel": jnp.zeros((3, 4)), "bias": jnp.zeros(4)}
    >>> build_spec({"kernel": (None, "units"), "bias": ("units",)}, layer).sizes
    {'units': 4}
    """
    covered: Axes = {}
    found: dict[str, tuple[int, str]] = {}
    for name, leaf in [item for tree in trees for item in named_leaves(tree).items()]:
        if name not in axes:
            raise TreeError(f"no axes are declared for the parameter {name!r}; add its path to the permutation spec.")
        covered[name] = axes[name]
        for group, size in _units(name, jnp.shape(leaf), axes[name]).items():
            expected, first = found.setdefault(group, (size, name))
            if size != expected:
                raise TreeError(
                    f"the group {group!r} has {size} units in {name!r} but {expected} in {first!r}; give each of them "
                    "a group of its own or correct their axes."
                )
    return PermutationSpec(covered, {group: size for group, (size, _) in found.items()})


def _units(name: str, shape: tuple[int, ...], axes: tuple[Axis, ...]) -> dict[str, int]:
    if len(shape) != len(axes):
        raise TreeError(f"{name!r} has shape {shape} but its spec declares {len(axes)} axes; declare each axis once.")
    sizes: dict[str, int] = {}
    for size, axis in zip(shape, axes, strict=True):
        if axis is None:
            continue
        blocks = as_blocks(axis)
        repeats = blocks.outer * blocks.inner
        if size % repeats:
            raise TreeError(f"{name!r} has an axis of size {size}, which {repeats} blocks do not divide; correct them.")
        if blocks.group in sizes:
            raise TreeError(
                f"{name!r} has the group {blocks.group!r} along two axes, which matching cannot weigh linearly; give "
                "each axis a group of its own."
            )
        sizes[blocks.group] = size // repeats
    return sizes
