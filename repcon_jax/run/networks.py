"""The networks of a run from its config, and whether they fit its data."""

import jax
import jax.numpy as jnp

from repcon_jax.data import Splits
from repcon_jax.errors import ArgumentError, ConfigError, DataError
from repcon_jax.models import Model, attach_head, check_input, create_encoder, create_head
from repcon_jax.run.config import ExperimentConfig
from repcon_jax.trees import signature
from repcon_jax.typing import Key


def create_model(config: ExperimentConfig, splits: Splits) -> tuple[Model, Model, Model]:
    """The encoder of a run, its head, and the encoder with its head.

    Args:
        config: of the run.
        splits: its data, whose classes a head may count.
    Raises:
        UserError: the head needs classes that the data lacks.
    """
    encoder = create_encoder(config.encoder.name, **config.encoder.options)
    head = _head(config, splits)
    return encoder, head, attach_head(encoder, head)


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
    """Checks that a model has a logit for every class.

    Args:
        config: of the run.
        model: the encoder with its head.
        example: a batch of images.
        num_classes: of the data.
    Raises:
        ConfigError: it has fewer.
    """

    def outputs(key: Key, images: jax.Array) -> jax.Array:
        return model.apply(*model.init(key, images), images)[0].logits

    found = jax.eval_shape(outputs, jax.random.key(0), example).shape[-1]
    if found < num_classes:
        raise ConfigError(
            f"head {config.head.name!r} gives {found} logits but the data has {num_classes} classes; "
            f"set --config.head.num_classes={num_classes}."
        )


def _head(config: ExperimentConfig, splits: Splits) -> Model:
    options = dict(config.head.options)
    if "num_classes" in options and options["num_classes"] is None:
        if not splits.train.num_classes:
            raise DataError(
                f"head.num_classes is None and data set {config.data.name!r} has no labels to count; "
                "give --config.head.num_classes or labelled data."
            )
        options["num_classes"] = splits.train.num_classes
    return create_head(config.head.name, **options)
