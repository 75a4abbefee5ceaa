"""The permutation specs of the encoders and heads that have one."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from repcon_jax.errors import ConfigError
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.models.encoders.resnet import ARCHITECTURES
from repcon_jax.models.encoders.vgg import DEPTHS
from repcon_jax.symmetry.spec import Axes, Axis, Blocks, PermutationSpec, build_spec
from repcon_jax.trees import named_leaves
from repcon_jax.typing import ModelState, Params

_MIXING_NORMALISATIONS = ("group", "group_of_8")


def mlp_axes(params: Params) -> tuple[Axes, str | None]:
    """The axes of an ``mlp`` encoder: one group of units per layer.

    Args:
        params: the encoder's, or their shapes.
    Returns:
        The axes of its parameters and model state, under ``encoder/``, and the group of the embedding's units.
    """
    axes: Axes = {}
    inputs = None
    for i in _numbers(params, "linear"):
        units = f"encoder/linear{i}"
        axes |= _layer(units, (inputs,), units) | _normalisation(f"encoder/norm{i}", units)
        inputs = units
    return axes, inputs


def vgg_axes(params: Params) -> tuple[Axes, str | None]:
    """The axes of a ``vgg`` or ``convnet`` encoder: one group of channels per convolution.

    Args, Returns: as ``mlp_axes``; the embedding's group is that of its channels, which it repeats for each pixel.
    """
    axes: Axes = {}
    inputs = None
    for stage in _numbers(params, "stage"):
        for i in _numbers(params[f"stage{stage}"], "conv"):
            units = f"encoder/stage{stage}/conv{i}"
            axes |= _layer(units, (None, None, inputs), units) | _normalisation(f"encoder/stage{stage}/norm{i}", units)
            inputs = units
    return axes, inputs


def resnet_axes(params: Params) -> tuple[Axes, str]:
    """The axes of a residual network: a group within each block per layer but the last, and the residual stream's.

    Sums tie channels together: all that is added to the stream has its group, which begins at the stem and ends where
    a shortcut has a convolution of its own.

    Args, Returns: as ``mlp_axes``.
    """
    stream = "encoder/stem"
    axes = _convolution_and_norm("encoder/stem", None, stream)
    for stage in _numbers(params, "stage"):
        blocks = params[f"stage{stage}"]
        for i in _numbers(blocks, "block"):
            found, stream = _block_axes(blocks[f"block{i}"], f"encoder/stage{stage}/block{i}", stream)
            axes |= found
    return axes, stream


def linear_axes(params: Params, embedding: str, size: int) -> Axes:
    """The axes of a ``linear`` head, whose outputs stay in their order.

    Args:
        params: the head's, or their shapes.
        embedding: group of the embedding's units.
        size: their number; an embedding of several times as many entries repeats them.
    """
    return _chain(params, ["output"], embedding, size)


def projector_axes(params: Params, embedding: str, size: int) -> Axes:
    """The axes of a ``projector`` head: a group per layer but the last, whose outputs stay in their order.

    Dividing a vector by its norm commutes with permuting its entries, so the bottleneck may be permuted too.

    Args: as ``linear_axes``.
    """
    halves = [f"{half}/linear" for half in ("bottleneck", "output") if "linear" in params.get(half, {})]
    return _chain(params, [*(f"hidden{i}" for i in _numbers(params, "hidden")), *halves], embedding, size)


_ENCODER_AXES: dict[str, Callable[[Params], tuple[Axes, str | None]]] = {
    "mlp": mlp_axes,
    "convnet": vgg_axes,
    **dict.fromkeys(DEPTHS, vgg_axes),
    **dict.fromkeys(ARCHITECTURES, resnet_axes),
}
_HEAD_AXES: dict[str, Callable[[Params, str, int], Axes]] = {"linear": linear_axes, "projector": projector_axes}


def permutation_spec(
    encoder_name: str,
    head_name: str,
    params: Params,
    model_state: ModelState,
    encoder_options: Mapping[str, Any] | None = None,
) -> PermutationSpec:
    """The spec of an encoder with its head; permuting by it leaves the logits as they are and permutes the embedding.

    Args:
        encoder_name, head_name: as registered.
        params, model_state: of the model that ``attach_head`` makes, or their shapes.
        encoder_options: the options with which the encoder was built; the defaults are not needed.
    Raises:
        ConfigError: the encoder or the head has no spec, or its normalisation ties channels by their position.
        TreeError: the parameters are not those of that encoder and head.

    >>> import jax, jax.numpy as jnp
    >>> from repcon_jax.models import attach_head, create_encoder, create_head
    >>> model = attach_head(create_encoder("mlp", widths=(8, 6)), create_head("linear", num_classes=3))
    >>> spec = permutation_spec("mlp", "linear", *model.init(jax.random.key(0), jnp.zeros((1, 2, 2, 1))))
    >>> spec.sizes
    {'encoder/linear1': 8, 'encoder/linear2': 6}
    """
    encoder_axes = _supported("encoder", encoder_name, _ENCODER_AXES)
    head_axes = _supported("head", head_name, _HEAD_AXES)
    normalisation = (ENCODERS.options(encoder_name) | dict(encoder_options or {})).get("normalisation")
    if normalisation in _MIXING_NORMALISATIONS:
        raise ConfigError(
            f"encoder.normalisation is {normalisation!r}, whose groups of channels a permutation would mix; align "
            "networks with the normalisation 'batch', 'instance', 'layer' or 'none'."
        )
    axes, embedding = encoder_axes(params["encoder"])
    size = build_spec(axes, {"encoder": params["encoder"]}).sizes[embedding]
    return build_spec(axes | head_axes(params["head"], embedding, size), params, model_state)


def _supported(kind: str, name: str, builders: Mapping[str, Any]) -> Any:
    registry = {"encoder": ENCODERS, "head": HEADS}[kind]
    registry.get(name)  # where it does not exist at all, the registry knows the nearest name
    if name not in builders:
        raise ConfigError(
            f"{kind}.name is {name!r}, whose symmetries are not declared; align networks with one of "
            f"{', '.join(sorted(builders))}."
        )
    return builders[name]


def _numbers(params: Params, prefix: str) -> Iterator[int]:
    """1, 2, ... as far as there is a prefix1, prefix2, ...; in order, where names sorted as text would not be."""
    return itertools.takewhile(lambda i: f"{prefix}{i}" in params, itertools.count(1))


def _layer(path: str, inputs: tuple[Axis, ...], units: Axis) -> Axes:
    return {f"{path}/kernel": (*inputs, units), f"{path}/bias": (units,)}


def _normalisation(path: str, units: Axis) -> Axes:
    return {f"{path}/{name}": (units,) for name in ("scale", "bias", "mean", "var")}


def _convolution_and_norm(path: str, inputs: Axis, units: Axis) -> Axes:
    return _layer(f"{path}/conv", (None, None, inputs), units) | _normalisation(f"{path}/norm", units)


def _block_axes(params: Params, path: str, stream: str) -> tuple[Axes, str]:
    axes: Axes = {}
    end = stream
    if "shortcut" in params:
        end = path
        axes = _convolution_and_norm(f"{path}/shortcut", stream, end)
    layers = [f"{path}/layer{i}" for i in _numbers(params, "layer")]
    inputs = stream
    for layer in layers:
        units = end if layer == layers[-1] else layer
        axes |= _convolution_and_norm(layer, inputs, units)
        inputs = units
    return axes, end


def _chain(params: Params, layers: list[str], embedding: str, size: int) -> Axes:
    """Linear layers in turn, each with a group of its outputs, but the last, whose outputs are the logits."""
    axes: Axes = {}
    inputs: Axis = embedding
    first = named_leaves(params).get(f"{layers[0]}/kernel") if layers else None
    if first is not None and first.shape[0] != size:
        inputs = Blocks(embedding, outer=max(1, first.shape[0] // size))
    for layer in layers:
        path = f"head/{layer}"
        units = None if layer == layers[-1] else path
        axes |= _layer(path, (inputs,), units)
        inputs = units
    return axes
