"""One vocabulary for lengths of training: steps, examples, epochs, percent."""

import dataclasses
import math
import re

from repcon_jax.data import steps_per_epoch
from repcon_jax.errors import ArgumentError

_UNITS = ("steps", "examples", "epochs", "percent")


@dataclasses.dataclass(frozen=True)
class Clock:
    """What turns a duration into steps.

    Args:
        num_examples: size of the training set.
        batch_size: examples per step.
        steps_per_epoch: batches per pass over the data.
        total_steps: length of the run; 0 while the run's own length is being computed.
    """

    num_examples: int
    batch_size: int
    steps_per_epoch: int
    total_steps: int = 0

    def steps(self, duration: str, argument: str = "duration") -> int:
        """The duration in steps, rounded to the nearest.

        Args:
            duration: such as ``"1000 steps"``, ``"50000 examples"``, ``"1.5 epochs"`` or ``"10 percent"`` of the run.
            argument: its name where it is called, for the message.
        Raises:
            ArgumentError: the text is no duration.

        >>> Clock(num_examples=1000, batch_size=100, steps_per_epoch=10, total_steps=200).steps("10 percent")
        20
        """
        number, unit = parse_duration(duration, argument)
        if unit == "percent" and not self.total_steps:
            problem = f"is {duration!r} but percent needs a run length"
            raise ArgumentError(argument, problem, "give steps, examples or epochs")
        factor = {
            "steps": 1.0,
            "examples": 1.0 / self.batch_size,
            "epochs": float(self.steps_per_epoch),
            "percent": self.total_steps / 100,
        }[unit]
        return round(number * factor)


def parse_duration(duration: str, argument: str = "duration") -> tuple[float, str]:
    """Number and unit of a duration.

    Args:
        duration, argument: see ``Clock.steps``.
    Raises:
        ArgumentError: the text is no duration.

    >>> parse_duration("1 epoch")
    (1.0, 'epochs')
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?(?:e\d+)?)\s*([a-z]+|%)\s*", duration)
    unit = match and {"%": "percent", "percent": "percent"}.get(match[2], match[2].rstrip("s") + "s")
    if match is None or unit not in _UNITS:
        units = ", ".join(_UNITS)
        problem = f"is {duration!r} but must be a number and one of {units}, such as '10 epochs'"
        raise ArgumentError(argument, problem)
    if not math.isfinite(float(match[1])):
        raise ArgumentError(argument, f"is {duration!r} but must be finite")
    return float(match[1]), unit


def clock(num_examples: int, batch_size: int, duration: str, *, drop_last: bool = True) -> Clock:
    """The clock of a run that lasts ``duration``.

    Args:
        num_examples: size of the training set.
        batch_size: examples per step.
        duration: length of the run.
        drop_last: whether an epoch ends before its incomplete batch.
    Raises:
        UserError: the batch is larger than the training set, or the run has no step.
    """
    per_epoch = steps_per_epoch(num_examples, batch_size, drop_last)
    open_ended = Clock(num_examples, batch_size, per_epoch)
    total = open_ended.steps(duration)
    if total < 1:
        problem = f"is {duration!r}, which is {total} steps, but must be at least one"
        raise ArgumentError("duration", problem, "lengthen it")
    return dataclasses.replace(open_ended, total_steps=total)
