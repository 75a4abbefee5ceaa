"""Scalars that change with the step: learning rate, weight decay, momentum, temperature.

A config gives a number (constant) or one call as text, such as ``"cosine(start=0.04, end=0.4)"`` or
``"multi_step(start=0.1, milestones=('80 epochs', '120 epochs'), factor=0.1, warmup='1 epochs')"``.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from repcon_jax.errors import ConfigError, check_range
from repcon_jax.options.registry import Registry
from repcon_jax.options.schema import check_type, parse_call
from repcon_jax.training.durations import Clock
from repcon_jax.typing import Scalar

Schedule = optax.Schedule
SCHEDULES = Registry("schedule", "repcon_jax.training.schedules")


@dataclasses.dataclass(frozen=True)
class Alternatives:
    """Schedules of which every member of a population has its own.

    Args:
        values: numbers or calls, as ``parse_schedule`` takes them.
        index: which of them; may be traced.
    """

    values: tuple[float | str, ...]
    index: Int[Array, ""]


ScheduleValue = Scalar | str | Alternatives


def parse_schedule(
    value: ScheduleValue,
    clock: Clock,
    field: str = "schedule",
    low: float = float("-inf"),
    high: float = float("inf"),
    *,
    open_low: bool = False,
) -> Schedule:
    """A function from the step (integer scalar) to a float32 scalar.

    Args:
        value: a number, a call such as ``"cosine(start=1e-3, end=0.0, warmup='10 epochs')"``, or alternatives.
        clock: turns durations into steps.
        field: config field that it stands in, for the message.
        low, high, open_low: where the number, or the schedule's start, end and value, must lie; see ``check_range``.
    Raises:
        ConfigError: the text is no call of a known schedule, or a value is not finite or out of range.

    >>> clock = Clock(num_examples=8, batch_size=4, steps_per_epoch=2, total_steps=10)
    >>> float(parse_schedule("linear(start=1.0, end=0.0)", clock)(5))
    0.5
    """
    check_type(field, value, ScheduleValue)
    if isinstance(value, Alternatives):
        each = [parse_schedule(v, clock, field, low, high, open_low=open_low) for v in value.values]
        return lambda step: jnp.stack([jnp.asarray(schedule(step), jnp.float32) for schedule in each])[value.index]
    if isinstance(value, jax.Array):
        return optax.constant_schedule(value)
    if not isinstance(value, str):
        _check_finite(field, value, low, high, open_low)
        return optax.constant_schedule(float(value))
    name, options = parse_call(value, field)
    try:
        schedule = SCHEDULES.build(name, clock, **options)
    except ConfigError as error:
        raise ConfigError(f"{field} is {value!r}: {error}") from error
    for key in {"start", "end", "value"} & SCHEDULES.options(name).keys():
        _check_finite(field, (SCHEDULES.options(name) | options)[key], low, high, open_low)
    return schedule


def _check_finite(field: str, value: float, low: float, high: float, open_low: bool) -> None:
    check_range(field, value, low, high, open_low=open_low)
    if not math.isfinite(value):
        raise ConfigError(f"{field} is {value!r} but must be finite; correct --config.{field}.")


@SCHEDULES.register("constant")
def constant(clock: Clock, *, value: float = 1.0, warmup: str = "0 steps") -> Schedule:
    """The same value at every step after a linear warm-up from 0."""
    return _after_warmup(optax.constant_schedule(float(value)), _warmup_steps(clock, warmup))


@SCHEDULES.register("linear")
def linear(clock: Clock, *, start: float = 1.0, end: float = 0.0, warmup: str = "0 steps") -> Schedule:
    """start + (end - start) * t, with t the fraction of the run after the warm-up."""
    steps = _warmup_steps(clock, warmup)
    return _after_warmup(optax.linear_schedule(float(start), float(end), clock.total_steps - steps), steps)


@SCHEDULES.register("cosine")
def cosine(clock: Clock, *, start: float = 1.0, end: float = 0.0, warmup: str = "0 steps") -> Schedule:
    """end + (start - end) * (1 + cos(pi * t)) / 2, with t the fraction of the run after the warm-up; falls or rises."""
    steps = _warmup_steps(clock, warmup)
    falling = optax.cosine_decay_schedule(1.0, clock.total_steps - steps)
    return _after_warmup(lambda step: end + (start - end) * falling(step), steps)


@SCHEDULES.register("multi_step")
def multi_step(
    clock: Clock,
    *,
    start: float = 0.1,
    milestones: tuple[str, ...] = (),
    factor: float = 0.1,
    warmup: str = "0 steps",
) -> Schedule:
    """start * factor ** (number of milestones reached); milestones count from the start of the run."""
    steps = _warmup_steps(clock, warmup)
    boundaries: dict[int, float] = {}
    for milestone in milestones:
        boundary = clock.steps(milestone, "schedule.milestones") - steps
        boundaries[boundary] = boundaries.get(boundary, 1.0) * factor
    if min(boundaries, default=1) < 1:
        raise ConfigError(f"schedule.milestones are {milestones!r} but must come after the warm-up of {steps} steps.")
    return _after_warmup(optax.piecewise_constant_schedule(float(start), boundaries), steps)


def _warmup_steps(clock: Clock, warmup: str) -> int:
    steps = clock.steps(warmup, "schedule.warmup")
    if steps >= clock.total_steps:
        raise ConfigError(
            f"schedule.warmup is {warmup!r}, {steps} steps, but the run has only {clock.total_steps}; shorten it."
        )
    return steps


def _after_warmup(schedule: Schedule, steps: int) -> Schedule:
    if steps == 0:
        return schedule
    return optax.join_schedules([optax.linear_schedule(0.0, schedule(0), steps), schedule], [steps])
