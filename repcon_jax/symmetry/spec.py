"""Which axes of which parameters a network's units lie along, from what its families declare."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from repcon_jax.errors import ArgumentError, TreeError
from repcon_jax.models import Blocks, Layer, Model, declared
from repcon_jax.models.architecture import INPUTS, Architecture, Axes, Axis
from repcon_jax.trees import named_leaves
from repcon_jax.typing import ModelState, Params, PyTree

_MIXING_NORMALISATIONS = ("group", "group_of_8")


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


def permutation_spec(model: Model, params: Params, model_state: ModelState) -> PermutationSpec:
    """The spec of a model; permuting by it leaves the logits as they are and permutes the embedding.

    Args:
        model: an encoder with or without head, whose families declare their units.
        params, model_state: of the model, or their shapes.
    Raises:
        ArgumentError: a part declares nothing, or a normalisation ties channels by their position.
        TreeError: the parameters are not those of the model.

    >>> import jax
    >>> from repcon_jax.models import attach_head, create_encoder, create_head
    >>> model = attach_head(create_encoder("mlp", widths=(8, 6)), create_head("linear", num_classes=3))
    >>> permutation_spec(model, *model.init(jax.random.key(0), jnp.zeros((1, 2, 2, 1)))).sizes
    {'encoder/linear1': 8, 'encoder/linear2': 6}
    """
    architecture = declared(model)
    for layer in architecture.layers:
        if layer.writes is not None and layer.normalisation in _MIXING_NORMALISATIONS:
            raise ArgumentError(
                "model",
                f"has the normalisation {layer.normalisation!r} after {layer.path!r}, whose groups of channels a "
                "permutation would mix",
                "align networks with the normalisation 'batch', 'instance', 'layer' or 'none'",
            )
    return build_spec(_axes(architecture, params), params, model_state)


def _axes(architecture: Architecture, params: Params) -> Axes:
    leaves = named_leaves(params)
    shapes = {layer.path: _kernel_shape(layer, leaves) for layer in architecture.layers}
    sizes = {layer.writes: shapes[layer.path][-1] for layer in architecture.layers}
    axes: Axes = {name: tuple(map(_known, axes)) for name, axes in architecture.other_axes}
    for layer in architecture.layers:
        *window, inputs, _ = shapes[layer.path]
        reads = _known(layer.reads)
        if isinstance(reads, str) and inputs != sizes.get(reads, inputs):
            reads = Blocks(reads, outer=max(1, inputs // sizes[reads]))
        axes[layer.kernel] = (*[None] * len(window), reads, layer.writes)
        axes |= dict.fromkeys(layer.beside_kernel, (layer.writes,))
    return axes


def _kernel_shape(layer: Layer, leaves: Mapping[str, Any]) -> tuple[int, ...]:
    if layer.kernel not in leaves:
        raise TreeError(f"the model declares a kernel {layer.kernel!r} but the parameters have none; take the model's.")
    return jnp.shape(leaves[layer.kernel])


def _known(axis: Axis) -> Axis:
    """A part that was attached to nothing is given units in an order of their own."""
    return None if axis == INPUTS or (isinstance(axis, Blocks) and axis.group == INPUTS) else axis


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
    sizes: dict[str, tuple[int, str]] = {}
    for name, leaf in [item for tree in trees for item in named_leaves(tree).items()]:
        if name not in axes:
            raise TreeError(f"no axes are declared for the parameter {name!r}; add its path to the permutation spec.")
        covered[name] = axes[name]
        for group, size in _units(name, jnp.shape(leaf), axes[name]).items():
            expected, first = sizes.setdefault(group, (size, name))
            if size != expected:
                raise TreeError(
                    f"the group {group!r} has {size} units in {name!r} but {expected} in {first!r}; give each of them "
                    "a group of its own or correct their axes."
                )
    return PermutationSpec(covered, {group: size for group, (size, _) in sizes.items()})


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
