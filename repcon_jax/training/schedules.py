"""Scalars that change with the step: learning rate, weight decay, momentum, temperature.

A config gives a number (constant) or one call as text, such as ``"cosine(start=0.04, end=0.4)"`` or
``"multi_step(start=0.1, milestones=('80 epochs', '120 epochs'), factor=0.1, warmup='1 epochs')"``.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from repcon_jax.errors import ArgumentError, ConfigError, check_range
from repcon_jax.options.registry import Registry
from repcon_jax.options.schema import parse_call
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
    argument: str = "schedule",
    low: float = float("-inf"),
    high: float = float("inf"),
    *,
    open_low: bool = False,
) -> Schedule:
    """A function from the step (integer scalar) to a float32 scalar.

    Args:
        value: a number, a call such as ``"cosine(start=1e-3, end=0.0, warmup='10 epochs')"``, or alternatives.
        clock: turns durations into steps.
        argument: its name where it is called, for the message.
        low, high, open_low: where the number, or the schedule's start, end and value, must lie; see ``check_range``.
    Raises:
        ArgumentError: the text is no call of a known schedule, or a value is not finite or out of range.

    >>> clock = Clock(num_examples=8, batch_size=4, steps_per_epoch=2, total_steps=10)
    >>> float(parse_schedule("linear(start=1.0, end=0.0)", clock)(5))
    0.5
    """
    if isinstance(value, Alternatives):
        each = [parse_schedule(v, clock, argument, low, high, open_low=open_low) for v in value.values]
        return lambda step: jnp.stack([jnp.asarray(schedule(step), jnp.float32) for schedule in each])[value.index]
    if isinstance(value, jax.Array):
        return optax.constant_schedule(value)
    if not isinstance(value, str):
        _check_finite(argument, value, low, high, open_low)
        return optax.constant_schedule(float(value))
    with refusing(argument):
        schedule = SCHEDULES.parse(value, argument, clock)
        name, options = parse_call(value, argument)
    for key in {"start", "end", "value"} & SCHEDULES.options(name).keys():
        _check_finite(argument, (SCHEDULES.options(name) | options)[key], low, high, open_low)
    return schedule


@contextlib.contextmanager
def refusing(argument: str) -> Iterator[None]:
    """Within, what is wrong about a text is said to be wrong about the argument that it was given as."""
    try:
        yield
    except ConfigError as error:
        problem = str(error).removesuffix(".").partition("; correct --config")[0]
        raise ArgumentError(argument, problem.removeprefix(f"{argument} ")) from error


def _check_finite(argument: str, value: float, low: float, high: float, open_low: bool) -> None:
    check_range(argument, value, low, high, open_low=open_low)
    if not math.isfinite(value):
        raise ArgumentError(argument, f"is {value!r} but must be finite")


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
        boundary = clock.steps(milestone, "milestones") - steps
        boundaries[boundary] = boundaries.get(boundary, 1.0) * factor
    if min(boundaries, default=1) < 1:
        raise ArgumentError("milestones", f"are {milestones!r} but must come after the warm-up of {steps} steps")
    return _after_warmup(optax.piecewise_constant_schedule(float(start), boundaries), steps)


def _warmup_steps(clock: Clock, warmup: str) -> int:
    steps = clock.steps(warmup, "warmup")
    if steps >= clock.total_steps:
        problem = f"is {warmup!r}, {steps} steps, but the run has only {clock.total_steps}"
        raise ArgumentError("warmup", problem, "shorten it")
    return steps


def _after_warmup(schedule: Schedule, steps: int) -> Schedule:
    if steps == 0:
        return schedule
    return optax.join_schedules([optax.linear_schedule(0.0, schedule(0), steps), schedule], [steps])
