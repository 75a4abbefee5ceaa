"""The members of a run: the product of its seeds and of every other scalar that ``config.population`` names."""

import dataclasses
import itertools
import math
import re
import typing
from collections.abc import Sequence
from typing import Any

from repcon_jax.errors import ConfigError, did_you_mean
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.schema import check_type, may_vary
from repcon_jax.run.config import ExperimentConfig, fields_of
from repcon_jax.training.optimisers import OptimiserConfig

Point = dict[str, float | str]


@dataclasses.dataclass(frozen=True)
class Member:
    """Which member.

    Args:
        seed: of everything random.
        values: axis of the population, as the user wrote it -> value; empty where only seeds differ.
    """

    seed: int
    values: Point

    def __str__(self) -> str:
        """Name of its files, such as ``seed_0`` or ``locality_0.5__seed_0``."""
        parts = [f"{axis.rpartition('.')[2]}_{value}" for axis, value in self.values.items()]
        return "__".join(re.sub(r"[^\w.+-]", "_", part) for part in [*parts, f"seed_{self.seed}"])

    @property
    def labels(self) -> dict[str, Any]:
        """What marks its rows in ``metrics.jsonl``."""
        return {"seed": self.seed, **self.values}


@dataclasses.dataclass(frozen=True)
class Group:
    """Members that are trained together in one program.

    Args:
        seeds: of the rows.
        points: indices of the columns' points; the last may be repeated so that all groups have one size.
    """

    seeds: tuple[int, ...]
    points: tuple[int, ...]


def seeds_of(config: ExperimentConfig) -> tuple[int, ...]:
    """Seeds of all members."""
    return tuple(config.population.get("seed", range(config.seed, config.seed + config.num_seeds)))


def points_of(config: ExperimentConfig) -> list[Point]:
    """The product of the values of all axes but the seeds; a single empty point where there is none."""
    axes = {axis: values for axis, values in config.population.items() if axis != "seed"}
    return [dict(zip(axes, row, strict=True)) for row in itertools.product(*axes.values())]


def members_of(config: ExperimentConfig) -> list[Member]:
    """All members."""
    return [Member(seed, point) for point in points_of(config) for seed in seeds_of(config)]


def with_values(config: ExperimentConfig, values: dict[str, Any]) -> ExperimentConfig:
    """The config with scalars of its optimiser and objective replaced, by dotted name."""
    groups: dict[str, dict[str, Any]] = {"optimiser": {}, "objective": {}}
    for path, value in values.items():
        group, _, name = path.partition(".")
        groups[group][name] = value
    objective = dataclasses.replace(config.objective, options={**config.objective.options, **groups["objective"]})
    with fields_of("optimiser"):
        optimiser = dataclasses.replace(config.optimiser, **groups["optimiser"])
    return dataclasses.replace(config, objective=objective, optimiser=optimiser)


def scalar_fields(config: ExperimentConfig) -> dict[str, Any]:
    """The type of every scalar that may differ between members, beside the seed, by its dotted name."""
    hints = typing.get_type_hints(OptimiserConfig)
    fields = {f"optimiser.{name}": hint for name, hint in hints.items()}
    fields |= {f"objective.{name}": hint for name, hint in OBJECTIVES.annotations(config.objective.name).items()}
    return {name: hint for name, hint in fields.items() if may_vary(hint)}


def resolve_axes(config: ExperimentConfig) -> dict[str, str]:
    """For every axis but the seeds the dotted name of the scalar that it stands for.

    Raises:
        ConfigError: an axis names no such scalar or two name the same, or its values are wrong.
    """
    fields, resolved = scalar_fields(config), {}
    for axis, values in config.population.items():
        _check_values(axis, values)
    for axis, values in config.population.items():
        if axis == "seed":
            _check_seeds(config, values)
            continue
        matches = [path for path in fields if axis in (path, path.partition(".")[2])]
        if len(matches) != 1 or matches[0] in resolved.values():
            known = ["seed", *(path if axis in path else path.partition(".")[2] for path in fields)]
            wrong = "names two scalars" if len(matches) > 1 else "names no scalar that can differ between members"
            if len(matches) == 1:
                wrong = f"names {matches[0]!r} again"
            raise ConfigError(f"population.{axis} {wrong}; {did_you_mean(axis, known)}.")
        for value in values:
            check_type(f"population.{axis}", value, fields[matches[0]])
        resolved[axis] = matches[0]
    for point in points_of(config):
        with_values(config, {resolved[axis]: value for axis, value in point.items()})
    return resolved


def _check_values(axis: str, values: Any) -> None:
    if not isinstance(values, tuple) or not values or len(set(values)) < len(values):
        raise ConfigError(
            f"population.{axis} is {values!r} but must be a tuple of at least one value without repetition; set "
            f"--config.population.{axis}='(0.0, 0.5)', say."
        )


def _check_seeds(config: ExperimentConfig, values: tuple[Any, ...]) -> None:
    for value in values:
        check_type("population.seed", value, int)
        if not 0 <= value < 2**31:
            raise ConfigError(f"population.seed has {value} but must lie in [0, {2**31 - 1}]; correct it.")
    if config.num_seeds != 1:
        raise ConfigError(f"population.seed is {values!r} and num_seeds is {config.num_seeds}; give one of them.")


def plan_groups(seeds: Sequence[int], num_points: int, capacity: int, multiple: int) -> list[Group]:
    """Splits a population into groups of one size that fit into memory.

    Args:
        seeds: of all members.
        num_points: points of each seed.
        capacity: members that fit at once.
        multiple: devices over which members are spread; each group's size along one axis is a multiple of it.
    Returns:
        Groups that cover each member; where sizes do not divide, the last points or seeds are repeated.

    >>> plan_groups((0, 1), 3, 4, 1)
    [Group(seeds=(0, 1), points=(0, 1)), Group(seeds=(0, 1), points=(2, 2))]
    """
    rows = len(seeds) if len(seeds) <= capacity else max(1, capacity)
    columns = max(1, min(num_points, capacity // rows))
    rows, columns = _even(len(seeds), rows), _even(num_points, columns)
    if rows % multiple and columns % multiple:
        columns = math.ceil(columns / multiple) * multiple
    return [
        Group(_filled(seeds, i, rows), _filled(range(num_points), j, columns))
        for i in range(0, len(seeds), rows)
        for j in range(0, num_points, columns)
    ]


def _even(total: int, size: int) -> int:
    """The smallest size that needs no more parts than ``size`` does."""
    return math.ceil(total / math.ceil(total / size))


def _filled(values: Sequence[int], begin: int, size: int) -> tuple[int, ...]:
    part = tuple(values[begin : begin + size])
    return part + part[-1:] * (size - len(part))
