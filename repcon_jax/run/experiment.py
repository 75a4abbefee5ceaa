"""From a config to the pure functions and arrays of a run; everything that can be wrong is found here, uncompiled."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from repcon_jax.data import Dataset, Splits, build_views, prepare_splits
from repcon_jax.data.views import Views
from repcon_jax.errors import ConfigError, DataError
from repcon_jax.models import Model
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.run.config import ExperimentConfig
from repcon_jax.run.members import Group, points_of, resolve_axes, seeds_of, with_values
from repcon_jax.run.networks import check_outputs, check_shapes, create_model
from repcon_jax.run.probe_data import splits_to_probe
from repcon_jax.training.checkpoints import load_params
from repcon_jax.training.durations import Clock, clock
from repcon_jax.training.evaluation import evaluate_dataset
from repcon_jax.training.loop import TrainData
from repcon_jax.training.mesh import build_mesh, is_sequential, place, placements
from repcon_jax.training.optimisers import build_optimiser
from repcon_jax.training.population import MemberValues, Method, Population, Recipe, Values, compile_population
from repcon_jax.training.schedules import Alternatives
from repcon_jax.training.step import Objective, TrainState
from repcon_jax.typing import Metrics, Params, PyTree


@dataclasses.dataclass(frozen=True)
class Experiment:
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
        programs: compiled so far, by number of seeds and points; runs of one experiment share them.
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

    def members(self, group: Group) -> MemberValues:
        """The values of the members of a group."""
        points = points_of(self.config)
        values: dict[str, np.ndarray] = {"point": np.array(group.points, np.int32)}
        for axis, path in self.axes.items():
            texts = _texts(self.config, axis)
            found = [points[i][axis] for i in group.points]
            values[path] = np.array([texts.index(v) for v in found], np.int32) if texts else np.float32(found)
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


def build_experiment(config: ExperimentConfig) -> Experiment:
    """Loads the data and builds every function of a run.

    Raises:
        UserError: the config does not fit the data, the encoder or itself.
    """
    splits = prepare_splits(config.data)
    probe_splits = splits_to_probe(config, splits)
    encoder, head, model = create_model(config, splits)
    views, view_shape = _views(config, encoder, splits, probe_splits)
    load = functools.cache(load_params)  # the start is traced more than once
    context = Context(
        model, encoder, head, _clock(config, len(splits.train)), (config.data.num_global, config.data.num_local), load
    )
    train, context, objective = _examples(config, splits, context)
    mesh = build_mesh(config.mesh, len(seeds_of(config)), len(points_of(config)), config.batch_size)
    _check_accumulation(config, mesh)
    example = jax.ShapeDtypeStruct((1, *view_shape), jnp.float32)
    if objective.uses_labels:
        check_outputs(config, model, example, splits.train.num_classes)
    params = jax.eval_shape(objective.start, jax.random.key(0), example)[0]
    method = _Method(config, context, resolve_axes(config), params)
    method.check()
    placements(params, mesh, config.mesh.rules)  # so that a wrong rule is found before anything is compiled
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
        context.clock,
        example.shape,
        config.accumulation,
        mesh,
        config.mesh.rules,
        sequential=is_sequential(config.mesh, mesh),
        remembers=_remembers(config, objective, context.clock),
    )
    test = _placed_test(splits.test, mesh)
    experiment = Experiment(config, encoder, model, objective, recipe, probe_splits, test, method.axes)
    experiment.check_durations()
    return experiment


@dataclasses.dataclass(frozen=True, eq=False)
class _Method:
    """Objective and optimiser of a member, as a function of its values.

    Args:
        config: of the run.
        context: what it offers to the objective.
        axes: see ``Experiment``.
        params: shapes of the parameters.
    """

    config: ExperimentConfig
    context: Context
    axes: dict[str, str]
    params: Params

    def __call__(self, values: Values) -> tuple[Objective, optax.GradientTransformation]:
        scalars = {}
        for axis, path in self.axes.items():
            value, texts = jnp.asarray(values[path]), _texts(self.config, axis)
            scalars[path] = Alternatives(texts, value) if texts else value
        return self._of(scalars)

    def check(self) -> None:
        """Raises ConfigError where a value of a member is wrong, which is clearer said of that one than of many."""
        for point in points_of(self.config):
            self._of({self.axes[axis]: value for axis, value in point.items()})

    def _of(self, scalars: dict[str, Any]) -> tuple[Objective, optax.GradientTransformation]:
        member = with_values(self.config, scalars)
        return _objective(member, self.context), build_optimiser(member.optimiser, self.context.clock, self.params)


def _objective(config: ExperimentConfig, context: Context) -> Objective:
    return OBJECTIVES.build(config.objective.name, context, **config.objective.options)


def _views(
    config: ExperimentConfig, encoder: Model, splits: Splits, probe_splits: Splits | None
) -> tuple[Views, tuple[int, ...]]:
    """The function from images to views, and (height, width, channels) of a view, which the encoder takes."""
    data, image_shape = config.data, splits.train.images.shape[1:]
    views = build_views(data.global_augment, data.num_global, data.local_augment, data.num_local)
    images = jax.ShapeDtypeStruct((config.batch_size, *image_shape), jnp.float32)
    view_shapes = jax.eval_shape(views, jax.random.key(0), images)
    shapes = [v.shape[2:] for v in view_shapes if v.shape[0]] + [image_shape]
    if probe_splits is not None:
        shapes.append(probe_splits.train.images.shape[1:])
    check_shapes(encoder, shapes, config.encoder.name)
    return views, view_shapes[0].shape[2:]


def _examples(config: ExperimentConfig, splits: Splits, context: Context) -> tuple[Dataset, Context, Objective]:
    """What is trained on, and the objective, which says whether that needs labels, with the clock of so many."""
    objective = _objective(config, context)
    if not objective.uses_labels:
        return splits.train, context, objective
    train = _labelled(config, splits)
    context = dataclasses.replace(context, clock=_clock(config, len(train)))
    return train, context, _objective(config, context)


def _remembers(config: ExperimentConfig, objective: Objective, time: Clock) -> bool:
    more_than_once = time.total_steps > time.steps_per_epoch
    return objective.remember is not None and config.data.has_fixed_views and more_than_once


@dataclasses.dataclass(frozen=True)
class _Evaluate:
    """The objective's metrics as a function of a member's values; a dataclass because equal ones compile once."""

    method: Method

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


def _clock(config: ExperimentConfig, num_examples: int) -> Clock:
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
