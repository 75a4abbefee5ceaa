"""Errors that a user can mend, each one sentence: the field, what was found, what is allowed, the fix."""

import difflib
from collections.abc import Iterable
from typing import Any

from jax.core import Tracer


class UserError(ValueError):
    """A mistake in what the user gave; the command line prints it alone and exits with code 2."""


class ConfigError(UserError):
    """A config field has an unknown name, a wrong type or a value out of range."""


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
    field: str,
    value: Any,
    low: float = float("-inf"),
    high: float = float("inf"),
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Raises ConfigError unless ``value`` lies in the interval from ``low`` to ``high``.

    Args:
        field: name of the field in the message, such as ``encoder.width``.
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
        raise ConfigError(f"{field} is {value!r} but must lie in {interval}; set --config.{field} to such a value.")
