"""From a config to the pure functions and arrays of a run; everything that can be wrong is found here, uncompiled."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from repcon_jax.data import Dataset, Splits, build_views, prepare_splits
from repcon_jax.data.views import Views
from repcon_jax.errors import CheckpointError, ConfigError, DataError
from repcon_jax.models import Model, Network
from repcon_jax.objectives import Context
from repcon_jax.records.scores import Score
from repcon_jax.run.config import ExperimentConfig, fields_of
from repcon_jax.run.members import Group, points_of, resolve_axes, seeds_of
from repcon_jax.run.networks import (
    check_outputs,
    check_shapes,
    create_model,
    describe_networks,
    load_network,
    pixels_of,
)
from repcon_jax.run.probe_data import splits_to_probe
from repcon_jax.run.varying import Optimisers, Schedules, check_members, first_member, objective_of, texts_of
from repcon_jax.training.durations import Clock, clock
from repcon_jax.training.evaluation import evaluate_dataset
from repcon_jax.training.loop import TrainData
from repcon_jax.training.mesh import build_mesh, is_sequential, place, placements
from repcon_jax.training.optimisers import frozen_paths
from repcon_jax.training.population import Population, compile_population
from repcon_jax.training.recipe import MemberValues, Recipe
from repcon_jax.training.step import Batch, Inputs, Objective, TrainState, scalars_at
from repcon_jax.trees import signature
from repcon_jax.typing import Metrics, PyTree


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config turned into functions and arrays: a run without its members.

    Args:
        config: the run's.
        context: what the objective was built with, the model and its pixels among it.
        objective: what is minimised.
        recipe: how a member is started and trained.
        probe_splits: the data that representations are judged on.
        test: images and labels on which the objective is evaluated, on the devices, or None.
        axes: for every axis of the population but the seeds the dotted name of its scalar.
        programs: compiled so far, by number of seeds and points; runs of one experiment share them.
    """

    config: ExperimentConfig
    context: Context
    objective: Objective
    recipe: Recipe
    probe_splits: Splits | None
    test: tuple[jax.Array, jax.Array] | None
    axes: dict[str, str]
    programs: dict[tuple[int, int], Population] = dataclasses.field(default_factory=dict)

    @property
    def model(self) -> Model:
        """The encoder with its head."""
        return self.context.model

    @property
    def clock(self) -> Clock:
        """What turns durations into steps."""
        return self.recipe.clock

    @property
    def size(self) -> int:
        """Number of members."""
        return len(seeds_of(self.config)) * len(points_of(self.config))

    def members(self, group: Group) -> MemberValues:
        """The values of the members of a group."""
        points = points_of(self.config)
        values: dict[str, np.ndarray] = {"point": np.array(group.points, np.int32)}
        for axis, path in self.axes.items():
            texts = texts_of(self.config, axis)
            column = [points[i][axis] for i in group.points]
            values[path] = np.array([texts.index(v) for v in column], np.int32) if texts else np.float32(column)
        return MemberValues(np.array(group.seeds, np.int32), values)

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
        values = {name: column[point] for name, column in self.members(group).values.items()}
        arguments = (place(self.recipe.mesh, values), state.params, state.carried, state.model_state)
        metrics = evaluate_dataset(self._evaluate, arguments, *self.test, mesh=self.recipe.data.mesh)
        return {name: float(value) for name, value in metrics.items()}

    @functools.cached_property
    def _evaluate(self) -> Callable[[PyTree, jax.Array, jax.Array], Metrics]:
        """The objective's metrics of a batch; one function object, because equal ones compile once."""

        def evaluate(arguments: PyTree, images: jax.Array, labels: jax.Array) -> Metrics:
            values, params, carried, model_state = arguments
            step = self.clock.total_steps - 1
            batch = Batch(images[None], images[None][:0], labels)
            scalars = scalars_at(self.recipe.schedules(values), step)
            return self.objective.evaluate(Inputs(params, model_state, carried, step, scalars, batch))

        return evaluate

    def networks(self, state: TrainState) -> dict[str, Network]:
        """What is probed of a member's state, by name."""
        return self.objective.networks(Inputs(state.params, state.model_state, state.carried, state.step, {}))

    def descriptions(self, state: TrainState) -> dict[str, Any]:
        """What a checkpoint of a member needs so that its networks can be rebuilt, by part."""
        is_network = self._signature == signature(state.params)  # the bends of a curve are none
        trained = self.context.network(state.params, state.model_state) if is_network else None
        return describe_networks(trained, state.carried, self.recipe.example[1:3])

    @functools.cached_property
    def _signature(self) -> dict[str, list]:
        """Of the model's parameters; tracing a deep network takes seconds."""
        return signature(jax.eval_shape(self.model.init, jax.random.key(0), jnp.zeros(self.recipe.example))[0])

    def scores(self) -> dict[str, Score]:
        """What the numbers of a run mean, by the name of the metric or probe."""
        return {**self.objective.scores, **self.config.probe.scores()}

    def kept_steps(self) -> tuple[int, ...]:
        """The steps whose checkpoints are written and kept for good."""
        with fields_of():
            return tuple(self.clock.steps(duration, "checkpoint.keep") for duration in self.config.checkpoint.keep)

    def steps(self, duration: str | None, field: str) -> int:
        """A duration of the config in steps; 0 for None.

        Raises:
            ConfigError: the duration is shorter than a step.
        """
        if duration is None:
            return 0
        with fields_of():
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
        for duration, step in zip(checkpoint.keep, self.kept_steps(), strict=True):
            if step > self.clock.total_steps:
                raise ConfigError(
                    f"checkpoint.keep has {duration!r}, step {step}, but the run ends at {self.clock.total_steps}; "
                    "shorten it or lengthen the run."
                )


def build_experiment(config: ExperimentConfig) -> Experiment:
    """Loads data and teachers and builds every function of a run.

    Raises:
        UserError: the config does not fit the data, the encoder or itself.
    """
    splits = prepare_splits(config.data)
    probe_splits = splits_to_probe(config, splits)
    load = functools.cache(load_network)  # the start is traced more than once
    teachers, sources = {}, {}
    for name, teacher in config.teachers.items():
        with _said_of(f"teachers.{name}"):
            teachers[name] = load(teacher.checkpoint, teacher.part)
    for name, source in config.sources.items():
        with _said_of(f"sources.{name}"):
            sources[name] = prepare_splits(source)
    model = create_model(config, splits, teachers, sources)
    views, view_shape = _views(config, model, splits, probe_splits)
    # Sources may have images of other sizes; else images are taken as they come, local views among them.
    pixels = pixels_of(splits, view_shape[:2] if config.sources else None)
    context = Context(
        model,
        pixels,
        _clock(config, len(splits.train)),
        (config.data.num_global, config.data.num_local),
        load,
        teachers,
    )
    axes = resolve_axes(config)
    train, context, objective = _examples(config, splits, context, axes)
    with fields_of("mesh"):
        mesh = build_mesh(config.mesh, len(seeds_of(config)), len(points_of(config)))
    _check_batch(config, mesh)
    example = jax.ShapeDtypeStruct((1, *view_shape), jnp.float32)
    if objective.uses_labels:
        check_outputs(config, model, example, splits.train.num_classes)
    scalars = scalars_at(objective.scalars, 0)
    params = jax.eval_shape(lambda key, images: objective.start(key, images, scalars)[0], jax.random.key(0), example)
    check_members(config, context, axes, params)
    with fields_of("mesh"):
        placements(params, mesh, config.mesh.rules)  # so that a wrong rule is found before anything is compiled
        sequential = is_sequential(config.mesh, mesh)
    recipe = Recipe(
        objective,
        Schedules(config, axes, objective, context.clock),
        Optimisers(config, axes, context.clock, params),
        _train_data(config, train, sources, objective.uses_labels, views, mesh),
        context.clock,
        example.shape,
        config.accumulation,
        mesh,
        config.mesh.rules,
        sequential=sequential,
        remembers=_remembers(config, objective, context.clock),
        frozen=frozen_paths(config.optimiser, params),
    )
    test = _placed_test(splits.test, mesh) if config.evaluate else None
    experiment = Experiment(config, context, objective, recipe, probe_splits, test, axes)
    experiment.check_durations()
    return experiment


@contextlib.contextmanager
def _said_of(field: str) -> Iterator[None]:
    """Within, what is wrong with a checkpoint or a data set is said of the field that names it."""
    try:
        yield
    except (CheckpointError, DataError) as error:
        raise type(error)(f"{field}: {error}") from error


def _train_data(
    config: ExperimentConfig,
    train: Dataset,
    sources: dict[str, Splits],
    uses_labels: bool,
    views: Views,
    mesh: Mesh,
) -> TrainData:
    """The training set and the further sources, on the devices."""
    spread = mesh if mesh.size > 1 else None

    def placed(examples: Dataset, labelled: bool, views: Views, sources: dict[str, TrainData]) -> TrainData:
        images, labels = place(mesh, examples.images), place(mesh, examples.labels) if labelled else None
        return TrainData(images, labels, views, config.drop_last, spread, sources=sources)

    further = {}
    for name, splits in sources.items():
        source, examples = config.sources[name], splits.train
        if len(examples) < config.batch_size:
            raise ConfigError(
                f"sources.{name} has {len(examples)} training examples but batch_size is {config.batch_size}; lower it "
                "or choose a larger source."
            )
        of_source = build_views(source.global_augment, source.num_global, source.local_augment, source.num_local)
        further[name] = placed(examples, examples.labels is not None, of_source, {})
    return placed(train, uses_labels, views, further)


def _views(
    config: ExperimentConfig, model: Model, splits: Splits, probe_splits: Splits | None
) -> tuple[Views, tuple[int, ...]]:
    """The function from images to views, and (height, width, channels) of a view, which the encoder takes."""
    data, image_shape = config.data, splits.train.images.shape[1:]
    views = build_views(data.global_augment, data.num_global, data.local_augment, data.num_local)
    images = jax.ShapeDtypeStruct((config.batch_size, *image_shape), jnp.float32)
    view_shapes = jax.eval_shape(views, jax.random.key(0), images)
    shapes = [v.shape[2:] for v in view_shapes if v.shape[0]] + [image_shape]
    if probe_splits is not None:
        shapes.append(probe_splits.train.images.shape[1:])
    encoder = model.part("encoder")
    check_shapes(encoder if config.adapter is None else encoder.part("backbone"), shapes, config.encoder.name)
    if config.adapter is not None:
        with fields_of("adapter"):
            jax.eval_shape(encoder.init, jax.random.key(0), jnp.zeros((1, *shapes[0])))
    return views, view_shapes[0].shape[2:]


def _examples(
    config: ExperimentConfig, splits: Splits, context: Context, axes: dict[str, str]
) -> tuple[Dataset, Context, Objective]:
    """What is trained on, and the objective, which says whether that needs labels, with the clock of so many."""
    first = first_member(config, axes)
    objective = objective_of(first, context)
    if not objective.uses_labels:
        return splits.train, context, objective
    train = _labelled(config, splits)
    context = dataclasses.replace(context, clock=_clock(config, len(train)))
    return train, context, objective_of(first, context)


def _remembers(config: ExperimentConfig, objective: Objective, time: Clock) -> bool:
    more_than_once = time.total_steps > time.steps_per_epoch
    return objective.remember is not None and config.data.has_fixed_views and more_than_once


def _placed_test(test: Dataset | None, mesh: Mesh) -> tuple[jax.Array, jax.Array] | None:
    if test is None:
        return None
    labels = np.zeros(len(test), np.int32) if test.labels is None else test.labels
    return place(mesh, test.images), place(mesh, np.asarray(labels, np.int32))


def _check_batch(config: ExperimentConfig, mesh: Mesh) -> None:
    data = mesh.shape["data"]
    if config.batch_size % data:
        near = max(1, config.batch_size // data) * data
        raise ConfigError(
            f"batch_size is {config.batch_size} but must be a multiple of mesh.data, {data} of {len(jax.devices())} "
            f"devices; set --config.batch_size={near} or --config.mesh.data={math.gcd(config.batch_size, data)}."
        )
    part = config.batch_size // config.accumulation
    if part % data:
        raise ConfigError(
            f"batch_size / accumulation is {part} but must be a multiple of mesh.data, {data}; lower "
            "--config.accumulation or --config.mesh.data."
        )


def _clock(config: ExperimentConfig, num_examples: int) -> Clock:
    with fields_of():
        return clock(num_examples, config.batch_size, config.duration, drop_last=config.drop_last)


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
