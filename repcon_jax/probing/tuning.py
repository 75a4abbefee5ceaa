"""A linear reader whose penalty is chosen on held-out training examples, and then fitted to all of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from repcon_jax.errors import check_range
from repcon_jax.losses import accuracy
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.minimisation import Fit
from repcon_jax.probing.penalty import Choice, Held, Search, check_penalties, choose_penalty, held_out_quality, hold_out
from repcon_jax.random import stream
from repcon_jax.typing import Key, Params

Losses = Callable[[Float[Array, "examples classes"], Int[Array, " examples"]], Float[Array, " examples"]]


@dataclasses.dataclass(frozen=True)
class Tuning:
    """How the penalty is chosen.

    Attributes:
        grid: values of C, scikit-learn's inverse strength of the penalty; one alone is taken as it is.
        search: how they are searched, see ``choose_penalty``.
        default: C where nothing can be held out.
        held_out: fraction of every class of the training set on which C is chosen.
        patience: values of C in a row at which the held-out loss is above its lowest before the path ends.
    """

    grid: tuple[float, ...]
    search: Search = "grid"
    default: float = 1.0
    held_out: float = 0.2
    patience: int = 2

    def __post_init__(self) -> None:
        """Raises ArgumentError where the grid is empty or not positive, or another number is out of range."""
        check_penalties(self.grid, self.held_out, self.patience)
        check_range("default", self.default, 0, open_low=True)


def fit_tuned(
    fit: Callable[..., Fit],
    losses_of: Losses,
    features: Float[Array, "train features"],
    labels: Int[Array, " train"],
    num_classes: int,
    tuning: Tuning,
    key: Key,
    scale: float | Scalar = 1.0,
) -> tuple[Params, dict[str, Any]]:
    """Chooses C on held-out examples and fits once more to all, from the fit of the chosen C.

    Args:
        fit: start, ``weights`` [train] and ``C`` -> the fit to the training set.
        losses_of: logits, labels -> the loss of each example.
        features, labels: the training set, [train, features] and [train].
        num_classes: labels lie in 0 .. num_classes - 1.
        tuning: how C is chosen.
        key: decides which examples are held out.
        scale: what the features were divided by, see ``prepare_features``; C is that of the features as they were.
    Returns:
        The classifier, and what stands beside the result: the C that was chosen, how, and how the solver ended.
    """
    fixed = len(tuning.grid) == 1
    is_held_out = hold_out(labels, tuning.held_out, stream(key, "held_out"))
    start = {"kernel": jnp.zeros((features.shape[1], num_classes)), "bias": jnp.zeros(num_classes)}
    choice = Choice(tuning.grid[0] if fixed else tuning.default, None, 0, False)
    if not fixed and bool(is_held_out.any()):

        def held(begin: Params, C: float) -> Held:
            fitted = fit(begin, weights=1.0 - is_held_out, C=C * scale**2)
            logits = linear_logits(fitted.classifier, features)
            right, loss = held_out_quality(logits, losses_of(logits, labels), labels, is_held_out)
            return Held(fitted.classifier, float(right), float(loss), int(fitted.iterations))

        choice = choose_penalty(held, start, tuning.grid, tuning.patience, tuning.search)
    begin = start if choice.held is None else choice.held.classifier
    final = fit(begin, weights=jnp.ones(features.shape[0]), C=choice.C * scale**2)
    details = choice.details() | {
        "chosen": "fixed" if fixed else "default" if choice.held is None else "held_out",
        "iterations": choice.iterations + int(final.iterations),
        "converged": bool(final.converged),
        "train_accuracy": float(accuracy(linear_logits(final.classifier, features), labels)),
    }
    return final.classifier, details
