"""From a config to the pure functions and arrays of a run; everything that can be wrong is found here, uncompiled."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from repcon_jax.config import ExperimentConfig
from repcon_jax.data import Dataset, Splits, build_views, prepare_splits
from repcon_jax.errors import ConfigError, DataError
from repcon_jax.members import Group, points_of, resolve_axes, seeds_of, with_values
from repcon_jax.models import Model, attach_head, check_input, create_encoder, create_head
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.probe_data import splits_to_probe
from repcon_jax.training.checkpoints import load_params
from repcon_jax.training.durations import Clock, clock
from repcon_jax.training.evaluation import evaluate_dataset
from repcon_jax.training.loop import TrainData
from repcon_jax.training.mesh import build_mesh, is_sequential, place, placements
from repcon_jax.training.optimisers import build_optimiser
from repcon_jax.training.population import Members, Population, Recipe, Values, compile_population
from repcon_jax.training.schedules import Alternatives
from repcon_jax.training.step import Objective, TrainState
from repcon_jax.trees import signature
from repcon_jax.typing import Key, Metrics, PyTree


@dataclasses.dataclass(frozen=True)
class Problem:
    """A run without its members.

    Args:
        config: the run's.
        encoder: what is probed.
        model: the encoder with its head.
        objective: what is minimised, for its names; what it computes may differ between members.
        recipe: how a member is started and trained.
        probe_splits: the data that representations are judged on.
        test: images and labels on which the objective is evaluated, on the devices, or None.
        axes: for every axis of the population but the seeds the dotted name of its scalar.
        programs: compiled so far, by number of seeds and points; runs of one problem share them.
    """

    config: ExperimentConfig
    encoder: Model
    model: Model
    objective: Objective
    recipe: Recipe
    probe_splits: Splits | None
    test: tuple[jax.Array, jax.Array] | None
    axes: dict[str, str]
    programs: dict[tuple[int, int], Population] = dataclasses.field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        """What turns durations into steps."""
        return self.recipe.clock

    @property
    def size(self) -> int:
        """Number of members."""
        return len(seeds_of(self.config)) * len(points_of(self.config))

    def members(self, group: Group) -> Members:
        """The values of the members of a group."""
        points = points_of(self.config)
        values: dict[str, np.ndarray] = {"point": np.array(group.points, np.int32)}
        for axis, path in self.axes.items():
            texts = _texts(self.config, axis)
            found = [points[i][axis] for i in group.points]
            values[path] = np.array([texts.index(v) for v in found], np.int32) if texts else np.float32(found)
        return Members(np.array(group.seeds, np.int32), values)

    def program(self, group: Group) -> Population:
        """The compiled program that trains groups of this size."""
        size = len(group.seeds), len(group.points)
        if size not in self.programs:
            self.programs[size] = compile_population(self.recipe, self.members(group))
        return self.programs[size]

    def evaluate(self, group: Group, point: int, state: TrainState) -> dict[str, float]:
        """The objective's metrics on the test set for one member of a group, whose state is given."""
        if self.test is None:
            return {}
        values = {name: found[point] for name, found in self.members(group).values.items()}
        arguments = (place(self.recipe.mesh, values), state.params, state.carried, state.model_state)
        data, mesh = self.recipe.data, self.recipe.mesh
        found = evaluate_dataset(_Evaluate(self.recipe.method), arguments, *self.test, data.mean, data.std, mesh=mesh)
        return {name: float(value) for name, value in found.items()}

    def kept_steps(self) -> tuple[int, ...]:
        """The steps whose checkpoints are written and kept for good."""
        return tuple(self.clock.steps(duration, "checkpoint.keep") for duration in self.config.checkpoint.keep)

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
    probe_splits = splits_to_probe(config, splits)
    encoder, head, model = create_model(config, splits)
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
    load = functools.cache(load_params)  # the start is traced more than once

    axes = resolve_axes(config)

    def build(time: Clock, config: ExperimentConfig = config) -> Objective:
        num_views = (config.data.num_global, config.data.num_local)
        context = Context(model, encoder, head, time, num_views, load)
        return OBJECTIVES.build(config.objective.name, context, **config.objective.options)

    train, time = splits.train, _clock(config, len(splits.train))
    objective = build(time)
    if objective.uses_labels:
        train = _labelled(config, splits)
        time = _clock(config, len(train))
        objective = build(time)
    mesh = build_mesh(config.mesh, len(seeds_of(config)), len(points_of(config)), config.batch_size)
    _check_accumulation(config, mesh)
    example = jax.ShapeDtypeStruct((1, *view_shapes[0].shape[2:]), jnp.float32)
    if objective.uses_labels:
        _check_outputs(config, model, example, splits.train.num_classes)
    params = jax.eval_shape(objective.start, jax.random.key(0), example)[0]
    for point in points_of(config):  # what is wrong with a single value is said before it is one of many
        member = with_values(config, {axes[axis]: value for axis, value in point.items()})
        build(time, member)
        build_optimiser(member.optimiser, time, params)
    texts = {path: _texts(config, axis) for axis, path in axes.items()}

    def method(values: Values) -> tuple[Objective, optax.GradientTransformation]:
        found = {path: jnp.asarray(values[path]) for path in axes.values()}
        scalars = {path: Alternatives(texts[path], v) if texts[path] else v for path, v in found.items()}
        member = with_values(config, scalars)
        return build(time, member), build_optimiser(member.optimiser, time, params)

    data = TrainData(
        images=place(mesh, train.images),
        labels=place(mesh, train.labels) if objective.uses_labels else None,
        mean=place(mesh, splits.mean),
        std=place(mesh, splits.std),
        views=views,
        drop_last=config.drop_last,
        mesh=mesh if mesh.size > 1 else None,
    )
    recipe = Recipe(
        method,
        data,
        time,
        example.shape,
        config.accumulation,
        mesh,
        config.mesh.rules,
        sequential=is_sequential(config.mesh, mesh),
        remembers=_remembers(config, objective, time),
    )
    placements(params, mesh, config.mesh.rules)  # so that a wrong rule is found before anything is compiled
    problem = Problem(config, encoder, model, objective, recipe, probe_splits, _placed_test(splits.test, mesh), axes)
    problem.check_durations()
    return problem


def _remembers(config: ExperimentConfig, objective: Objective, time: Clock) -> bool:
    more_than_once = time.total_steps > time.steps_per_epoch
    return objective.remember is not None and config.data.has_fixed_views and more_than_once


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


@dataclasses.dataclass(frozen=True)
class _Evaluate:
    """The objective's metrics as a function of a member's values; a dataclass because equal ones compile once."""

    method: Callable[[Values], tuple[Objective, optax.GradientTransformation]]

    def __call__(self, arguments: PyTree, images: jax.Array, labels: jax.Array) -> Metrics:
        values, *state = arguments
        return self.method(values)[0].evaluate(*state, images, labels)


def _texts(config: ExperimentConfig, axis: str) -> tuple[float | str, ...]:
    """All values of an axis that holds texts, such as schedules; empty where all are numbers."""
    values = config.population[axis]
    return values if any(isinstance(value, str) for value in values) else ()


def _placed_test(test: Dataset | None, mesh: Mesh) -> tuple[jax.Array, jax.Array] | None:
    if test is None:
        return None
    labels = np.zeros(len(test), np.int32) if test.labels is None else test.labels
    return place(mesh, test.images), place(mesh, np.asarray(labels, np.int32))


def _check_accumulation(config: ExperimentConfig, mesh: Mesh) -> None:
    part = config.batch_size // config.accumulation
    if part % mesh.shape["data"]:
        raise ConfigError(
            f"batch_size / accumulation is {part} but must be a multiple of mesh.data, {mesh.shape['data']}; lower "
            "--config.accumulation or --config.mesh.data."
        )


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
