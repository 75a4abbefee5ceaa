"""Removing units that do nothing, so that what is left of a pruned network is a smaller dense one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from repcon_jax.errors import ArgumentError, TreeError
from repcon_jax.lottery.units import CoupledUnits, Leaves, find_coupled_units
from repcon_jax.models import Model, declared, parameter_count
from repcon_jax.models.architecture import Architecture, Axis
from repcon_jax.symmetry import PermutationSpec, permutation_spec
from repcon_jax.symmetry.spec import as_blocks, split_shape
from repcon_jax.trees import check_same_shapes, map_named, named_leaves
from repcon_jax.typing import ModelState, Params, PyTree

Kept = Mapping[str, Bool[np.ndarray, " _"]]


class Smaller(NamedTuple):
    """A network without its dead units.

    Attributes:
        params, model_state: what is left; ``with_any_widths`` of the model runs them.
        spec: the groups of units of the whole network.
        kept: for each group which of its units are left, booleans [units].
        parameters_before, parameters_after: numbers of parameters.
    """

    params: Params
    model_state: ModelState
    spec: PermutationSpec
    kept: Kept
    parameters_before: int
    parameters_after: int


def remove_dead_units(model: Model, params: Params, model_state: ModelState, *, mask: PyTree | None = None) -> Smaller:
    """The network without the units and channels that change nothing, with the same logits in evaluation mode.

    A unit goes where

    - nothing reads it: its outgoing weights are zero;
    - it is zero whatever the input, since its incoming weights and biases, or its scale and bias, are zero;
    - it is another constant that the next layer's bias or running mean can take over. A padded convolution cannot,
      since it sees zeros around the image, and neither can a division by the norm of the features or weights.

    The channels of a residual stream are one group from one projection to the next, and go where these hold for all
    that writes them, or all that reads them. One unit of each group stays. The embedding loses the entries of its
    units. ``mask`` and other trees of the parameters follow with ``take_units(smaller.spec, smaller.kept, tree)``.

    Args:
        model: an encoder with its head, whose families declare their units.
        params, model_state: of the model.
        mask: booleans with the shapes of params, whose False entries count as zero; None where they are zero.
    Raises:
        ArgumentError: a part declares nothing, or a normalisation's statistics count several channels.
        TreeError: the parameters are not those of the model, or the mask is not theirs.

    >>> import jax
    >>> from repcon_jax.models import attach_head, create_encoder, create_head
    >>> model = attach_head(create_encoder("mlp", widths=(8,)), create_head("linear", num_classes=3))
    >>> params, state = model.init(jax.random.key(0), jnp.zeros((1, 2, 2, 1)))
    >>> params["head"]["output"]["kernel"] = params["head"]["output"]["kernel"].at[:5].set(0)
    >>> smaller = remove_dead_units(model, params, state)
    >>> smaller.params["encoder"]["linear1"]["kernel"].shape, smaller.parameters_before, smaller.parameters_after
    ((4, 3), 67, 27)
    """
    architecture = declared(model)
    _check_normalisation(architecture)
    spec = permutation_spec(model, params, model_state)
    before = parameter_count(params)
    leaves = {name: np.asarray(leaf) for tree in (params, model_state) for name, leaf in named_leaves(tree).items()}
    if mask is not None:
        check_same_shapes({"params": params, "mask": mask})
        leaves |= {name: np.where(np.asarray(kept), leaves[name], 0) for name, kept in named_leaves(mask).items()}
    groups = find_coupled_units(spec, architecture)
    kept = {name: np.ones(size, bool) for name, size in spec.sizes.items()}
    # A unit that goes may have been the only reader of others, hence until nothing changes.
    while any(_remove(leaves, spec, name, group, kept[name]) for name, group in groups.items()):
        pass
    params, model_state = (map_named(lambda name, _: jnp.asarray(leaves[name]), tree) for tree in (params, model_state))
    return Smaller(params, model_state, spec, kept, before, parameter_count(params))


def take_units(spec: PermutationSpec, kept: Kept, tree: PyTree) -> PyTree:
    """A tree of the whole network's parameters or model state, such as a mask, without the units that were removed.

    Args:
        spec: covers the tree.
        kept: for some groups, or all, which of their units are left, booleans [units].
        tree: arrays of any type.
    Raises:
        TreeError: the spec does not cover a leaf, or a leaf has another number of units than ``kept``.

    >>> from repcon_jax.symmetry import build_spec
    >>> bias = {"bias": jnp.array([1.0, 2.0, 3.0])}
    >>> spec = build_spec({"bias": ("units",)}, bias)
    >>> take_units(spec, {"units": np.array([True, False, True])}, bias)["bias"].tolist()
    [1.0, 3.0]
    """

    def take(name: str, leaf: Any) -> Any:
        if name not in spec.axes:
            raise TreeError(f"the spec of the units does not cover {name!r}; take a tree of the whole network.")
        return jnp.asarray(_take(name, np.asarray(leaf), spec.axes[name], kept))

    return map_named(take, tree)


def _remove(leaves: Leaves, spec: PermutationSpec, name: str, group: CoupledUnits, kept: np.ndarray) -> bool:
    """Removes the dead units of one group from the leaves and marks them in ``kept``; whether anything changed."""
    dead = group.dead(leaves)
    silenced = False
    if dead.all():  # A layer of no units is no layer, but the one that stays need not keep others alive.
        dead[0] = False
        silenced = group.silence(leaves, 0)
    if not dead.any():
        return silenced
    constants = np.where(dead, np.nan_to_num(group.constants(leaves)), 0)
    for reader in group.readers:
        if reader.absorbs(leaves):
            reader.absorb(leaves, constants)
    kept[np.flatnonzero(kept)[dead]] = False
    for path, leaf in leaves.items():
        leaves[path] = _take(path, leaf, spec.axes[path], {name: ~dead})
    return True


def _take(name: str, leaf: np.ndarray, axes: tuple[Axis, ...], kept: Kept) -> np.ndarray:
    for number, axis in enumerate(axes):
        if axis is None or as_blocks(axis).group not in kept:
            continue
        chosen = kept[as_blocks(axis).group]
        split = leaf.reshape(split_shape(leaf.shape, number, axis))
        if split.shape[number + 1] != len(chosen):
            raise TreeError(
                f"{name!r} has {split.shape[number + 1]} units where {len(chosen)} were expected; take a tree of the "
                "whole network."
            )
        taken = np.compress(chosen, split, number + 1)
        leaf = taken.reshape(*leaf.shape[:number], -1, *leaf.shape[number + 1 :])
    return leaf


def _check_normalisation(architecture: Architecture) -> None:
    for layer in architecture.layers:
        if layer.writes is not None and layer.normalisation not in ("batch", "instance", "none"):
            raise ArgumentError(
                "model",
                f"has the normalisation {layer.normalisation!r} after {layer.path!r}, whose statistics count dead "
                "channels too",
                "remove units from networks with the normalisation 'batch', 'instance' or 'none'",
            )
