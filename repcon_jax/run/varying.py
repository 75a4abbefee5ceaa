"""What differs between the members of a run, as functions of a member's values, which are traced within a program."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import optax

from repcon_jax.errors import ConfigError
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.run.config import ExperimentConfig, fields_of
from repcon_jax.run.members import points_of, with_values
from repcon_jax.training.durations import Clock
from repcon_jax.training.lifting import Values
from repcon_jax.training.optimisers import build_optimiser
from repcon_jax.training.schedules import Alternatives, Schedule, parse_schedule
from repcon_jax.training.step import Objective
from repcon_jax.typing import Params


@dataclasses.dataclass(frozen=True, eq=False)
class Schedules:
    """The schedules of the objective's scalars for one member, as a function of its values.

    Args:
        config: of the run.
        axes: see ``Experiment``.
        objective: has those of the config.
        clock: turns durations into steps.
    """

    config: ExperimentConfig
    axes: dict[str, str]
    objective: Objective
    clock: Clock

    def __call__(self, values: Values) -> dict[str, Schedule]:
        """By name, those of the objective and, in their place, those of the member."""
        given = _scalars_of(self.config, self.axes, values, "objective")
        own = {name: parse_schedule(value, self.clock, name) for name, value in given.items()}
        return {**self.objective.scalars, **own}


@dataclasses.dataclass(frozen=True, eq=False)
class Optimisers:
    """The optimiser of one member, as a function of its values; ``params`` are the shapes of all parameters."""

    config: ExperimentConfig
    axes: dict[str, str]
    clock: Clock
    params: Params

    def __call__(self, values: Values) -> optax.GradientTransformation:
        """That of the config with the scalars of the member."""
        given = _scalars_of(self.config, self.axes, values, "optimiser")
        with fields_of("optimiser"):
            return build_optimiser(self.config.optimiser, self.clock, self.params, given)


def _scalars_of(config: ExperimentConfig, axes: dict[str, str], values: Values, group: str) -> dict[str, Any]:
    """By name the scalars of a group of the config in which members differ, from their values, which may be traced."""
    scalars = {}
    for axis, path in axes.items():
        of_group, _, name = path.partition(".")
        if of_group == group:
            value, texts = jnp.asarray(values[path]), texts_of(config, axis)
            scalars[name] = Alternatives(texts, value) if texts else value
    return scalars


def check_members(config: ExperimentConfig, context: Context, axes: dict[str, str], params: Params) -> None:
    """Raises ConfigError where a value of a member is wrong, which is clearer said of that one than of many."""
    for point in points_of(config):
        member = with_values(config, {axes[axis]: value for axis, value in point.items()})
        objective = objective_of(member, context)
        with fields_of("optimiser"):
            build_optimiser(member.optimiser, context.clock, params)
        for axis in point:
            group, _, name = axes[axis].partition(".")
            if group == "objective" and name not in objective.scalars:
                raise ConfigError(
                    f"population.{axis} differs between members but objective {config.objective.name!r} does not list "
                    f"{name!r} among its scalars; take the axis away, or add it to the objective's scalars."
                )


def objective_of(config: ExperimentConfig, context: Context) -> Objective:
    """The objective that a config names."""
    return OBJECTIVES.build(config.objective.name, context, **config.objective.options)


def first_member(config: ExperimentConfig, axes: dict[str, str]) -> ExperimentConfig:
    """The config of the first member, whose objective has the structure of all."""
    return with_values(config, {axes[axis]: value for axis, value in points_of(config)[0].items()})


def texts_of(config: ExperimentConfig, axis: str) -> tuple[float | str, ...]:
    """All values of an axis that holds texts, such as schedules; empty where all are numbers."""
    values = config.population[axis]
    return values if any(isinstance(value, str) for value in values) else ()
