"""The networks of a run: from its config, to a checkpoint and back, and whether they fit its data."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from repcon_jax.adapters import ADAPTERS, adapt
from repcon_jax.data import Splits, prepare_splits
from repcon_jax.errors import ArgumentError, ConfigError, DataError
from repcon_jax.models import (
    HEADS,
    Model,
    Network,
    Pixels,
    attach_head,
    check_input,
    create_encoder,
    create_head,
    describe,
    fit,
    join_heads,
    rebuild,
)
from repcon_jax.options.schema import Choice
from repcon_jax.records.files import read_json
from repcon_jax.run.config import ExperimentConfig, head_called, parse_config
from repcon_jax.training.checkpoints import read_network
from repcon_jax.trees import signature
from repcon_jax.typing import Key, PyTree


def create_model(
    config: ExperimentConfig,
    splits: Splits,
    teachers: Mapping[str, Network] | None = None,
    sources: Mapping[str, Splits] | None = None,
) -> Model:
    """The encoder of a run, adapted if it says so, with its head or heads.

    Args:
        config: of the run.
        splits: its data, whose classes a head may count.
        teachers: by name; a head of a teacher's name may count that one's outputs.
        sources: further data sets by name; a head of a source's name may count that one's classes.
    Raises:
        UserError: a head needs classes that the data lacks.
    """
    encoder = create_encoder(config.encoder.name, **config.encoder.options)
    if config.adapter is not None:
        encoder = build_adapted(config.adapter.name, config.adapter.options, {"backbone": encoder})
    if config.head is not None:
        return attach_head(encoder, _head("head", config.head, splits.train.num_classes, config.data.name))
    heads = {}
    for name, head in config.heads.items():
        data, classes = config.data.name, splits.train.num_classes
        if teachers and name in teachers:
            classes = _outputs(teachers[name])
        elif sources and name in sources:
            data, classes = config.sources[name].name, sources[name].train.num_classes
        heads[name] = _head(f"heads.{name}", head, classes, data)
    return attach_head(encoder, join_heads(heads))


def build_adapted(name: str, options: Mapping[str, Any], parts: Mapping[str, Model]) -> Model:
    """An encoder with an adapter of the registry, which knows where it comes from."""
    complete = {**ADAPTERS.options(name), **options}
    return adapt(parts["backbone"], ADAPTERS.build(name, **options), name, complete)


def pixels_of(splits: Splits, size: tuple[int, int] | None = None) -> Pixels:
    """What a network that is trained on this data expects of images.

    Args:
        splits: the data.
        size: see ``Pixels``.
    """
    return Pixels(tuple(map(float, splits.mean)), tuple(map(float, splits.std)), size)


def describe_networks(trained: Network | None, carried: PyTree, size: tuple[int, int]) -> dict[str, Any]:
    """What a checkpoint holds beside the parameters, so that ``load_network`` can rebuild its networks, by part.

    Args:
        trained: the part ``params``; None where what is trained is no single network, such as the bends of a curve.
        carried: what the objective carries, with networks anywhere in it.
        size: (height, width) of their images, where their pixels do not say.
    """
    networks = {} if trained is None else {"params": trained}
    leaves, _ = jax.tree_util.tree_flatten_with_path(carried, is_leaf=lambda value: isinstance(value, Network))
    for path, value in leaves:
        if isinstance(value, Network):
            networks[jax.tree_util.keystr(path, simple=True, separator="/")] = value
    described = {name: describe_network(network, size) for name, network in networks.items()}
    return {name: description for name, description in described.items() if description is not None}


def describe_network(network: Network, size: tuple[int, int]) -> dict[str, Any] | None:
    """Model and pixels of a network as JSON values; None where its model has no origin.

    Args:
        network: with or without parameters.
        size: (height, width) of its images, where its pixels do not say.
    """
    model = describe(network.model)
    if model is None or network.pixels is None:
        return None
    pixels = dataclasses.replace(network.pixels, size=network.pixels.size or size)
    return {"model": model, "pixels": dataclasses.asdict(pixels)}


def rebuild_network(description: Mapping[str, Any]) -> tuple[Model, Pixels]:
    """Model and pixels of what ``describe_network`` gave, or of what JSON made of it."""
    given = description["pixels"]
    pixels = Pixels(tuple(given["mean"]), tuple(given["std"]), tuple(given["size"]))
    return rebuild(description["model"], {"adapter": build_adapted}), pixels


def load_network(path: str, part: str = "params") -> Network:
    """One network of a checkpoint.

    Args:
        path: a step's folder, such as ``runs/a/checkpoints/seed_0/1000``.
        part: ``"params"`` for what was trained, or what the objective carries, such as ``"teacher"``.
    Returns:
        The network. What was trained where that is no single network, such as the bends of a curve, has the run's
        model, whose parameters it does not fit.
    Raises:
        CheckpointError: the path is no checkpoint of this program or lacks the part.
    """
    params, model_state, description = read_network(path, part)
    if description is None:
        model, pixels, size = _of_run(pathlib.Path(path))
    else:
        model, pixels = rebuild_network(description)
        size = pixels.size
    images = jax.ShapeDtypeStruct((1, *size, pixels.channels), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    if signature((params, model_state)) == signature(shapes):
        with jax.ensure_compile_time_eval():  # also where a start is traced, whose tracers must not be kept
            params, model_state = fit(params, model_state, shapes, path)
    return Network(params, model_state, model, pixels)


def _of_run(folder: pathlib.Path) -> tuple[Model, Pixels, tuple[int, int]]:
    """Model, pixels and image size from the config beside a checkpoint: older ones do not say it themselves."""
    config = parse_config(read_json(folder.parents[2] / "config.json"))
    splits = prepare_splits(config.data)
    height, width = splits.train.images.shape[1:3]
    return create_model(config, splits), pixels_of(splits), (height, width)


def check_shapes(encoder: Model, shapes: list[tuple[int, ...]], name: str) -> None:
    """Checks that an encoder takes images of every shape, with the parameters of the first.

    Args:
        encoder: the model.
        shapes: (height, width, channels) of the views, the images and the images that are probed.
        name: the encoder's registered name, for the message.
    Raises:
        ConfigError: a shape does not fit the encoder, or not the parameters for the first shape.
    """
    first, *others = dict.fromkeys(shapes)  # tracing a deep network takes seconds: each shape once
    try:
        for shape in (first, *others):
            check_input(encoder, shape, name)
    except ArgumentError as error:
        raise error.within("encoder") from error
    for shape in others:
        images = [jax.ShapeDtypeStruct((1, *s), jnp.float32) for s in (first, shape)]
        variables = [signature(jax.eval_shape(encoder.init, jax.random.key(0), i)) for i in images]
        if variables[0] != variables[1]:
            raise ConfigError(
                f"encoder {name!r} has other parameters for images of {shape} than for views of {first}; let "
                "data.global_augment, data.local_augment and data.image_size give one size, or take an encoder that "
                "pools globally, such as a resnet."
            )


def check_outputs(config: ExperimentConfig, model: Model, example: jax.ShapeDtypeStruct, num_classes: int) -> None:
    """Checks that a model with one head has a logit for every class.

    Args:
        config: of the run.
        model: the encoder with its head.
        example: a batch of images.
        num_classes: of the data.
    Raises:
        ConfigError: it has fewer.
    """
    if config.head is None:
        return

    def outputs(key: Key, images: jax.Array) -> jax.Array:
        return model.apply(*model.init(key, images), images)[0].logits

    size = jax.eval_shape(outputs, jax.random.key(0), example).shape[-1]
    if size < num_classes:
        raise ConfigError(
            f"head {config.head.name!r} gives {size} logits but the data has {num_classes} classes; "
            f"set --config.head.num_classes={num_classes}."
        )


def _head(field: str, choice: Choice, classes: int, data: str) -> Model:
    """A head; where its number of classes is None it has as many as are given, if there are any."""
    options = {**HEADS.options(choice.name), **choice.options}
    if "num_classes" in options and options["num_classes"] is None:
        if not classes:
            raise DataError(
                f"{field}.num_classes is None and data set {data!r} has no labels to count; "
                f"give --config.{field}.num_classes or labelled data."
            )
        options["num_classes"] = classes
    with head_called(field):
        return create_head(choice.name, **options)


def _outputs(network: Network) -> int:
    """The number of a network's logits; 0 where it has several heads."""
    images = jax.ShapeDtypeStruct((1, *network.pixels.size, network.pixels.channels), jnp.float32)
    logits = jax.eval_shape(network.apply, images)[0].logits
    return 0 if isinstance(logits, dict) else logits.shape[-1]
