"""Errors that a user can mend, each one sentence: the field, what was found, what is allowed, the fix."""

import difflib
from collections.abc import Iterable
from typing import Any

from jax.core import Tracer


class UserError(ValueError):
    """A mistake in what the user gave; the command line prints it alone and exits with code 2."""


class ConfigError(UserError):
    """A config field has an unknown name, a wrong type or a value out of range."""


class ArgumentError(UserError):
    """An argument of a function has a value that it cannot have.

    The function names its argument; whoever called it with a value of the config says which field that was, see
    ``repcon_jax.options.registry.Registry.build`` and ``repcon_jax.options.schema.to_dataclass``.

    Args:
        argument: its name.
        problem: what was found and what is allowed, to be read after the name, without a full stop.
        fix: what to do, likewise; None for giving another value.

    >>> str(ArgumentError("width", "is 0 but must be positive"))
    'width is 0 but must be positive.'
    >>> str(ArgumentError("width", "is 0 but must be positive").within("encoder"))
    'encoder.width is 0 but must be positive; correct --config.encoder.width.'
    """

    def __init__(self, argument: str, problem: str, fix: str | None = None) -> None:
        """Puts the sentence together."""
        super().__init__(f"{argument} {problem}{f'; {fix}' if fix else ''}.")
        self.argument, self.problem, self.fix = argument, problem, fix

    def within(self, group: str) -> "ConfigError":
        """The same said of a config's field, which the argument is within a group of fields."""
        field = f"{group}.{self.argument}" if group else self.argument
        return ConfigError(f"{field} {self.problem}; {self.fix or f'correct --config.{field}'}.")


class DataError(UserError):
    """A data set is unknown, not prepared, corrupt or does not fit the request."""


class TreeError(UserError):
    """Parameter trees do not fit each other, or vectors do not span what was asked for."""


class CheckpointError(UserError):
    """A checkpoint or work directory is truncated, foreign or not writable."""


class DivergenceError(RuntimeError):
    """The loss became NaN or infinite; the last good checkpoint is kept."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """The end of an error sentence: the nearest valid name, and all of them.

    >>> did_you_mean("vgg1", ["vgg11", "mlp"])
    "did you mean 'vgg11'? (one of: mlp, vgg11)"
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}(one of: {', '.join(names)})"


def check_range(
    argument: str,
    value: Any,
    low: float = float("-inf"),
    high: float = float("inf"),
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Raises ArgumentError unless ``value`` lies in the interval from ``low`` to ``high``.

    Args:
        argument: its name, for the message.
        value: the number found; a traced one passes, since populations check each of their values before tracing.
        low, high: ends of the allowed interval.
        open_low, open_high: whether the end itself is excluded.
    """
    if isinstance(value, Tracer):
        return
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below):
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        raise ArgumentError(argument, f"is {value!r} but must lie in {interval}")
