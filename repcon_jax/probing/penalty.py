"""The penalty of a linear reader, chosen on training examples that are held out."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.probing.stratification import stratified_ranks
from repcon_jax.typing import Key, Params

Search = Literal["grid", "bisection"]
_WIDEST = (1e-10, 1e8)
_GOLDEN = (math.sqrt(5) - 1) / 2


class Held(NamedTuple):
    """What a fit without the examples that are held out makes of these.

    Attributes:
        classifier: the fit, from which the next one may start.
        accuracy, loss: on the examples that are held out.
        iterations: of the solver.
    """

    classifier: Params
    accuracy: float
    loss: float
    iterations: int


class Choice(NamedTuple):
    """The penalty that was chosen.

    Attributes:
        C: its inverse strength.
        held: what it was chosen for; None where nothing could be held out.
        iterations: of all fits.
        at_grid_end: whether a still larger or smaller one might be better, beyond the widest that is tried.
    """

    C: float
    held: Held | None
    iterations: int
    at_grid_end: bool

    def details(self) -> dict[str, Any]:
        """What stands beside a result."""
        accuracy = None if self.held is None else self.held.accuracy
        return {"C": self.C, "held_out_accuracy": accuracy, "at_grid_end": self.at_grid_end}


def check_penalties(grid: tuple[float, ...], held_out: float, patience: int) -> None:
    """Raises ArgumentError unless the grid is positive, the share that is held out in (0, 1) and patience positive."""
    if not grid or min(grid) <= 0:
        raise ArgumentError("grid", f"is {grid!r} but must hold positive values of C", "give at least one")
    check_range("held_out", held_out, 0.0, 1.0, open_low=True, open_high=True)
    check_range("patience", patience, 1)


def hold_out(labels: Int[Array, " train"], share: float, key: Key) -> Bool[Array, " train"]:
    """Which examples are held out: a share of every class, or one of two where classes have no more; else none.

    >>> hold_out(jnp.array([0, 0, 1, 1]), 0.2, jax.random.key(0)).sum()
    Array(2, dtype=int32)
    >>> bool(hold_out(jnp.array([0, 1]), 0.2, jax.random.key(0)).any())
    False
    """
    ranks = stratified_ranks(labels, key)
    chosen = ranks < share
    return chosen if bool(chosen.any()) else ranks < 0.5


def choose_penalty(
    fit: Callable[[Params, float], Held],
    start: Params,
    grid: Iterable[float],
    patience: int,
    search: Search = "grid",
) -> Choice:
    """The C of highest held-out accuracy on a grid, or of lowest held-out loss by golden section.

    On a grid the path runs from the strongest penalty to the weakest, each fit starting from the last, and ends where
    the held-out loss only rises (accuracy has plateaus, the loss has none): the weakest penalties, which take longest,
    are seldom tried. Of equal accuracies the strongest penalty wins. Where the best stands at an end of what was tried
    the grid grows by factors of ten.

    Args:
        fit: start and C -> the fit without the examples that are held out.
        start: of the first fit.
        grid: values of C; the section lies between its ends.
        patience: values of C in a row at which the loss is above its lowest before the path ends.
        search: how.
    """
    tried: dict[float, Held] = {}
    values = sorted(grid)
    if search == "bisection":
        return _by_section(fit, start, math.log10(values[0]), math.log10(values[-1]))
    last, rises, lowest = start, 0, float("inf")
    while values and rises < patience:
        C = values.pop(0)
        tried[C] = fit(last, C)
        last = tried[C].classifier
        rises = 0 if tried[C].loss <= lowest else rises + 1
        lowest = min(tried[C].loss, lowest)
        at_end = not values and rises < patience and _best(tried) == C
        if at_end and _WIDEST[1] >= 10 * C:
            values.append(10 * C)
    while _best(tried) == min(tried) and min(tried) / 10 >= _WIDEST[0]:
        C = min(tried) / 10
        tried[C] = fit(start, C)
    best = _best(tried)
    ended = best == min(tried) or (best == max(tried) and rises < patience)
    return Choice(best, tried[best], sum(held.iterations for held in tried.values()), ended)


def _best(tried: dict[float, Held]) -> float:
    """The C of highest accuracy; of several the one that was tried first."""
    return max(tried, key=lambda C: tried[C].accuracy)


def _by_section(fit: Callable[[Params, float], Held], start: Params, low: float, high: float) -> Choice:
    """Golden section on log10 C until the interval is a tenth of a decade."""
    tried: dict[float, Held] = {}

    def loss(exponent: float) -> float:
        if exponent not in tried:
            near = min(tried, key=lambda other: abs(other - exponent), default=None)
            tried[exponent] = fit(start if near is None else tried[near].classifier, 10.0**exponent)
        return tried[exponent].loss

    ends = low, high
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    while high - low > 0.1:
        if loss(left) <= loss(right):
            high, right = right, left
            left = high - _GOLDEN * (high - low)
        else:
            low, left = left, right
            right = low + _GOLDEN * (high - low)
    best = min(tried, key=lambda exponent: tried[exponent].loss)
    at_end = min(abs(best - end) for end in ends) < 0.15
    return Choice(10.0**best, tried[best], sum(held.iterations for held in tried.values()), at_end)


@jax.jit
def held_out_quality(
    logits: Float[Array, "train classes"],
    losses: Float[Array, " train"],
    labels: Int[Array, " train"],
    is_held_out: Bool[Array, " train"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Accuracy and mean loss on the examples that are held out.

    Args:
        logits: [train, classes].
        losses: of every example, [train].
        labels: [train].
        is_held_out: [train].
    """
    is_right = jnp.argmax(logits, axis=1) == labels
    return jnp.mean(is_right, where=is_held_out), jnp.mean(losses, where=is_held_out)
