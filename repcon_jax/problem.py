"""From a config to the pure functions and arrays of a run; everything that can be wrong is found here, uncompiled."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from repcon_jax.config import ExperimentConfig
from repcon_jax.data import DataConfig, Dataset, Splits, build_views, prepare_splits
from repcon_jax.errors import ConfigError, DataError
from repcon_jax.models import Model, attach_head, check_input, create_encoder, create_head
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.training.checkpoints import load_params
from repcon_jax.training.durations import Clock, clock
from repcon_jax.training.loop import Chunk, TrainData, build_chunk
from repcon_jax.training.optimisers import build_optimiser
from repcon_jax.training.step import Objective, TrainState, build_step, create_state
from repcon_jax.trees import signature
from repcon_jax.typing import Key


@dataclasses.dataclass(frozen=True)
class Problem:
    """A run without its seed.

    Args:
        config: the run's.
        encoder: what is probed.
        objective: what is minimised.
        clock: turns durations into steps.
        data: the training set on the device.
        probe_splits: the data that representations are judged on.
        test: test images on which the objective is evaluated, or None.
        initial_state: seed key -> the state before the first step; compiled once for all members.
        chunk: from ``build_chunk``; compiled once for all members.
    """

    config: ExperimentConfig
    encoder: Model
    objective: Objective
    clock: Clock
    data: TrainData
    probe_splits: Splits | None
    test: Dataset | None
    initial_state: Callable[[Key], TrainState]
    chunk: Chunk

    def steps(self, duration: str | None, field: str) -> int:
        """A duration of the config in steps; 0 for None.

        Raises:
            ConfigError: the duration is shorter than a step.
        """
        if duration is None:
            return 0
        steps = self.clock.steps(duration, field)
        if steps < 1:
            raise ConfigError(
                f"{field} is {duration!r}, which is {steps} steps, but must be at least one; lengthen it."
            )
        return steps

    def check_durations(self) -> None:
        """Raises ConfigError where a period is shorter than a step or a kept checkpoint lies beyond the end."""
        checkpoint = self.config.checkpoint
        self.steps(self.config.log_every, "log_every")
        self.steps(self.config.probe.every, "probe.every")
        self.steps(checkpoint.every, "checkpoint.every")
        self.steps(checkpoint.keep_every, "checkpoint.keep_every")
        for duration in checkpoint.keep:
            if (step := self.clock.steps(duration, "checkpoint.keep")) > self.clock.total_steps:
                raise ConfigError(
                    f"checkpoint.keep has {duration!r}, step {step}, but the run ends at {self.clock.total_steps}; "
                    "shorten it or lengthen the run."
                )


def build_problem(config: ExperimentConfig) -> Problem:
    """Loads the data and builds every function of a run.

    Raises:
        UserError: the config does not fit the data, the encoder or itself.
    """
    splits = prepare_splits(config.data)
    probe_splits = _probe_splits(config, splits)
    encoder = create_encoder(config.encoder.name, **config.encoder.options)
    image_shape = splits.train.images.shape[1:]
    views = build_views(
        config.data.global_augment, config.data.num_global, config.data.local_augment, config.data.num_local
    )
    view_shapes = jax.eval_shape(
        views, jax.random.key(0), jax.ShapeDtypeStruct((config.batch_size, *image_shape), jnp.float32)
    )
    shapes = [v.shape[2:] for v in view_shapes if v.shape[0]] + [image_shape]
    if probe_splits is not None:
        shapes.append(probe_splits.train.images.shape[1:])
    check_shapes(encoder, shapes, config.encoder.name)
    model = attach_head(encoder, _head(config, splits))

    load = functools.cache(load_params)  # the start is traced more than once

    def build(time: Clock) -> Objective:
        num_views = (config.data.num_global, config.data.num_local)
        context = Context(model, encoder, time, num_views, load)
        return OBJECTIVES.build(config.objective.name, context, **config.objective.options)

    train, time = splits.train, _clock(config, len(splits.train))
    objective = build(time)
    if objective.uses_labels:
        train = _labelled(config, splits)
        time = _clock(config, len(train))
        objective = build(time)
    example = jax.ShapeDtypeStruct((1, *view_shapes[0].shape[2:]), jnp.float32)
    if objective.uses_labels:
        _check_outputs(config, model, example, splits.train.num_classes)
    params = jax.eval_shape(objective.start, jax.random.key(0), example)[0]
    data = TrainData(
        images=jnp.asarray(train.images),
        labels=jnp.asarray(train.labels) if objective.uses_labels else None,
        mean=jnp.asarray(splits.mean),
        std=jnp.asarray(splits.std),
        views=views,
        drop_last=config.drop_last,
    )
    optimiser = build_optimiser(config.optimiser, time, params)
    problem = Problem(
        config=config,
        encoder=encoder,
        objective=objective,
        clock=time,
        data=data,
        probe_splits=probe_splits,
        test=splits.test,
        initial_state=jax.jit(lambda key: create_state(objective, optimiser, key, jnp.zeros(example.shape))),
        chunk=build_chunk(build_step(objective, optimiser), data, time),
    )
    problem.check_durations()
    return problem


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
    check_input(encoder, first, name)
    for shape in others:
        check_input(encoder, shape, name)
        images = [jax.ShapeDtypeStruct((1, *s), jnp.float32) for s in (first, shape)]
        variables = [signature(jax.eval_shape(encoder.init, jax.random.key(0), i)) for i in images]
        if variables[0] != variables[1]:
            raise ConfigError(
                f"encoder {name!r} has other parameters for images of {shape} than for views of {first}; let "
                "data.global_augment, data.local_augment and data.image_size give one size, or take an encoder that "
                "pools globally, such as a resnet."
            )


def _clock(config: ExperimentConfig, num_examples: int) -> Clock:
    return clock(num_examples, config.batch_size, config.duration, drop_last=config.drop_last)


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


def _check_outputs(config: ExperimentConfig, model: Model, example: jax.ShapeDtypeStruct, num_classes: int) -> None:
    def outputs(key: Key, images: jax.Array) -> jax.Array:
        return model.apply(*model.init(key, images), images)[0].logits

    found = jax.eval_shape(outputs, jax.random.key(0), example).shape[-1]
    if found < num_classes:
        raise ConfigError(
            f"head {config.head.name!r} gives {found} logits but the data has {num_classes} classes; "
            f"set --config.head.num_classes={num_classes}."
        )


def _labelled(config: ExperimentConfig, splits: Splits) -> Dataset:
    """The training set of a run that uses labels: without the part, if any, that its periodic probes are scored on."""
    held_out = config.probe.during == "validation" and config.probe.probes and config.probe.data is None
    train = splits.fit if held_out else splits.train
    if train.labels is None:
        raise DataError(
            f"objective.name is {config.objective.name!r}, which needs labels, but data set {config.data.name!r} "
            "has none; choose labelled data or objective 'distillation'."
        )
    return train


def _probe_splits(config: ExperimentConfig, splits: Splits) -> Splits | None:
    """What is probed on: the training data's own splits, or those of another data set at the same size."""
    if not config.probe.probes:
        return None
    if config.probe.data is not None:
        height, _, channels = splits.train.images.shape[1:]
        other = DataConfig(
            name=config.probe.data,
            data_dir=config.data.data_dir,
            cache_dir=config.data.cache_dir,
            image_size=height,
            resize_mode=config.data.resize_mode,
            rgb=channels == 3,
            holdout=config.data.holdout,
        )
        splits = prepare_splits(other)
        if splits.train.images.shape[3] != channels:
            raise ConfigError(
                f"probe.data is {config.probe.data!r} with {splits.train.images.shape[3]} channels but the encoder is "
                f"trained on {channels}; set --config.data.rgb=True or choose another probe.data."
            )
    if splits.train.labels is None or splits.test is None:
        raise ConfigError(
            f"probe.data is {config.probe.data!r} and data set {splits.train.name!r} has no labelled test split to "
            "probe on; name a labelled data set in --config.probe.data or set --config.probe.probes='()'."
        )
    if config.probe.during == "validation" and splits.validation is None:
        raise ConfigError(
            "data.holdout is 0, which leaves no validation part, but probe.during is 'validation'; "
            "set --config.data.holdout=0.1 or --config.probe.during=none."
        )
    _check_probe_size(config, splits)
    return splits


def _check_probe_size(config: ExperimentConfig, splits: Splits) -> None:
    part = splits.fit if config.probe.during == "validation" else splits.train
    size = min(len(part), config.probe.train_size or len(part))
    if size < config.probe.examples_needed():
        raise ConfigError(
            f"probe.probes is {config.probe.probes}, which needs {config.probe.examples_needed()} training examples, "
            f"but there are {size}; give more data, a larger probe.train_size or fewer neighbours."
        )
