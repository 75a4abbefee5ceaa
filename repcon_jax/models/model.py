"""The seam between networks and everything else: a model is a pair of pure functions on nested dicts of arrays."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError, DataError
from repcon_jax.models.architecture import Architecture, attached, side_by_side
from repcon_jax.random import stream
from repcon_jax.typing import Key, ModelState, Params


@dataclass(frozen=True)
class Model:
    """A network as two pure functions; equal options give equal models, so a model may be a static argument of jit.

    ``init(key, inputs) -> (params, model_state)`` draws the parameters; only the shape of ``inputs`` matters.

    ``apply(params, model_state, inputs, train=False, intermediates=False) -> (output, model_state)`` computes a
    batch; with ``intermediates`` it returns ``(output, model_state, features)``, where ``features`` maps the name
    of every block, in order of depth, to its output. ``model_state`` changes only where ``train`` is true.

    Inputs are ``[batch, height, width, channels]`` for an encoder and ``[batch, size]`` for a head; params and model
    state are nested dicts of float32 arrays, and the model state is ``{}`` in the absence of batch normalisation.

    ``origin`` says where it comes from, ``parts`` what it is made of, and ``architecture`` what its family declares of
    its layers and units; each may be absent, and whatever needs it says so.

    >>> from repcon_jax.models import create_encoder
    >>> encoder = create_encoder("mlp", widths=(8, 4))
    >>> images = jnp.zeros((2, 4, 4, 3))
    >>> params, model_state = encoder.init(jax.random.key(0), images)
    >>> encoder.apply(params, model_state, images)[0].shape
    (2, 4)
    """

    init: Callable[..., tuple[Params, ModelState]]
    apply: Callable[..., tuple[Any, ...]]
    origin: "Origin | None" = None
    parts: tuple[tuple[str, "Model"], ...] = ()
    architecture: Architecture | None = None

    def part(self, name: str) -> "Model":
        """One of the models that this one is made of, such as ``"encoder"``.

        Raises:
            KeyError: it has no such part.
        """
        return dict(self.parts)[name]


@dataclass(frozen=True)
class Origin:
    """Where a model comes from, so that a checkpoint can say it and be read without its config.

    Args:
        kind: a registry's, such as ``"encoder"``, or how its parts were put together, such as ``"pair"``.
        name: the builder's, where a registry has it.
        options: the builder's, as pairs, since a model must be hashable.
    """

    kind: str
    name: str = ""
    options: tuple[tuple[str, Any], ...] = ()


class Outputs(NamedTuple):
    """What an encoder with a head returns.

    Attributes:
        embedding: the encoder's output, ``[batch, embedding_size]``.
        logits: the head's output, ``[batch, outputs]``; of several heads, their outputs by name.
    """

    embedding: Float[Array, "batch size"]
    logits: Float[Array, "batch outputs"] | dict[str, Float[Array, "batch _"]]


def from_linen(module: nn.Module, architecture: Architecture | None = None) -> Model:
    """The model of a Linen module whose call ``(inputs, train)`` returns ``(output, named features)``.

    Args:
        module: keeps nothing but the collections ``params`` and ``batch_stats``.
        architecture: what the family declares of it; what needs a declaration refuses a model without one.
    """
    return Model(init=_LinenInit(module), apply=_LinenApply(module), architecture=architecture)


def attach_head(encoder: Model, head: Model) -> Model:
    """The model that computes ``Outputs(embedding, logits)`` with ``logits = head(embedding)``.

    Args:
        encoder: maps images to embeddings.
        head: maps embeddings to logits.
    Returns:
        A model whose params and model state are ``{"encoder": ..., "head": ...}``; names of features are prefixed
        likewise, as in ``encoder.stage1.conv1``.
    """
    parts = (("encoder", encoder), ("head", head))
    architecture = attached(encoder.architecture, head.architecture)
    return Model(_PairInit(encoder, head), _PairApply(encoder, head), Origin("pair"), parts, architecture)


def declared(model: Model) -> Architecture:
    """What the families of all parts of a model declare.

    Raises:
        ArgumentError: a part declares nothing.
    """
    for part in _smallest_parts(model):
        if part.architecture is None:
            what = f"{part.origin.kind} {part.origin.name!r}" if part.origin else "part of no registered family"
            raise ArgumentError(
                "model",
                f"has the {what}, which declares neither layers nor units",
                "give its builder's from_linen an architecture, see repcon_jax.models.Architecture",
            )
    return model.architecture


def _smallest_parts(model: Model) -> Iterator[Model]:
    if not model.parts:
        yield model
    for _, part in model.parts:
        yield from _smallest_parts(part)


def join_heads(heads: Mapping[str, Model]) -> Model:
    """One head that computes the logits of several, ``{name: [batch, outputs]}``, from the same embedding.

    Args:
        heads: by name.
    Returns:
        A model whose params, model state and outputs have one entry a name; names of features are prefixed with it.

    >>> from repcon_jax.models import create_encoder, create_head
    >>> heads = {name: create_head("linear", num_classes=size) for name, size in (("digits", 10), ("letters", 26))}
    >>> model = attach_head(create_encoder("mlp", widths=(8,)), join_heads(heads))
    >>> images = jnp.zeros((2, 4, 4, 1))
    >>> outputs, _ = model.apply(*model.init(jax.random.key(0), images), images)
    >>> {name: logits.shape for name, logits in outputs.logits.items()}
    {'digits': (2, 10), 'letters': (2, 26)}
    """
    parts = tuple(heads.items())
    architecture = side_by_side({name: head.architecture for name, head in parts})
    return Model(_HeadsInit(parts), _HeadsApply(parts), Origin("heads"), parts, architecture)


def embedding_size(model: Model, image_shape: tuple[int, ...]) -> int:
    """Size of the embedding for images of shape ``(height, width, channels)``; nothing is computed.

    Raises:
        ArgumentError: the images do not fit the encoder.
    """
    return _output_struct(model, image_shape).shape[-1]


def parameter_count(params: Params) -> int:
    """Number of scalars in ``params``, which may be arrays or the shapes that ``jax.eval_shape`` returns.

    >>> parameter_count({"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)})
    9
    """
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def check_input(encoder: Model, image_shape: tuple[int, ...], name: str) -> None:
    """Checks before any compilation that an encoder can take images of a shape.

    Args:
        encoder: the model.
        image_shape: ``(height, width, channels)``.
        name: the encoder's registered name, for the message.
    Raises:
        DataError: it is no shape of images.
        ArgumentError: the images do not fit; the message says which options would.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise DataError(
            f"images have the shape {tuple(image_shape)} but encoder {name!r} takes (height, width, channels) of at "
            "least one pixel; choose image data."
        )
    _output_struct(encoder, image_shape)


def _output_struct(model: Model, image_shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    def output(key: Key, images: Array) -> Array:
        return model.apply(*model.init(key, images), images)[0]

    return jax.eval_shape(output, jax.random.key(0), jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))


# The functions of a model are small frozen dataclasses rather than closures because closures compare by identity: two
# models built from the same options would be two static arguments and compile twice.
@dataclass(frozen=True)
class _LinenInit:
    module: nn.Module

    def __call__(self, key: Key, inputs: Array) -> tuple[Params, ModelState]:
        variables = self.module.init(key, inputs[:1], False)
        return variables.get("params", {}), variables.get("batch_stats", {})


@dataclass(frozen=True)
class _LinenApply:
    module: nn.Module

    def __call__(
        self, params: Params, model_state: ModelState, inputs: Array, train: bool = False, intermediates: bool = False
    ) -> tuple[Any, ...]:
        variables = {"params": params, "batch_stats": model_state}
        if train:
            (output, features), updated = self.module.apply(variables, inputs, True, mutable=["batch_stats"])
            model_state = updated.get("batch_stats", model_state)
        else:
            output, features = self.module.apply(variables, inputs, False)
        output = output.astype(jnp.float32)
        if not intermediates:
            return output, model_state
        # An OrderedDict because jit sorts the keys of a plain dict, and the order of depth would be lost.
        return output, model_state, OrderedDict((k, v.astype(jnp.float32)) for k, v in features.items())


@dataclass(frozen=True)
class _PairInit:
    encoder: Model
    head: Model

    def __call__(self, key: Key, inputs: Array) -> tuple[Params, ModelState]:
        params, state = self.encoder.init(stream(key, "encoder"), inputs)
        embedding = jax.eval_shape(self.encoder.apply, params, state, inputs[:1])[0]
        head_params, head_state = self.head.init(stream(key, "head"), jnp.zeros(embedding.shape, embedding.dtype))
        return {"encoder": params, "head": head_params}, {"encoder": state, "head": head_state}


@dataclass(frozen=True)
class _HeadsInit:
    heads: tuple[tuple[str, Model], ...]

    def __call__(self, key: Key, inputs: Array) -> tuple[Params, ModelState]:
        drawn = {name: head.init(stream(key, name), inputs) for name, head in self.heads}
        return {name: params for name, (params, _) in drawn.items()}, {
            name: state for name, (_, state) in drawn.items()
        }


@dataclass(frozen=True)
class _HeadsApply:
    heads: tuple[tuple[str, Model], ...]

    def __call__(
        self, params: Params, model_state: ModelState, inputs: Array, train: bool = False, intermediates: bool = False
    ) -> tuple[Any, ...]:
        computed = {
            name: head.apply(params[name], model_state[name], inputs, train, intermediates) for name, head in self.heads
        }
        output, state = ({name: result[i] for name, result in computed.items()} for i in range(2))
        if not intermediates:
            return output, state
        named = [(f"{name}.{k}", v) for name, result in computed.items() for k, v in result[2].items()]
        return output, state, OrderedDict(named)


@dataclass(frozen=True)
class _PairApply:
    encoder: Model
    head: Model

    def __call__(
        self, params: Params, model_state: ModelState, inputs: Array, train: bool = False, intermediates: bool = False
    ) -> tuple[Any, ...]:
        embedding, encoder_state, *encoder_features = self.encoder.apply(
            params["encoder"], model_state["encoder"], inputs, train, intermediates
        )
        logits, head_state, *head_features = self.head.apply(
            params["head"], model_state["head"], embedding, train, intermediates
        )
        output, state = Outputs(embedding, logits), {"encoder": encoder_state, "head": head_state}
        if not intermediates:
            return output, state
        named = [(f"encoder.{k}", v) for k, v in encoder_features[0].items()]
        named += [(f"head.{k}", v) for k, v in head_features[0].items()]
        return output, state, OrderedDict(named)
