"""A linear probe that is converged and tuned: what a linear layer can read from the features at all."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.losses import accuracy, softmax_cross_entropies_with_labels
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.logistic_regression import Fit, fit_logistic_regression, second_moment
from repcon_jax.probing.probe import PROBES, Details, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.standardisation import standardise
from repcon_jax.probing.stratification import stratified_ranks
from repcon_jax.random import stream
from repcon_jax.records.scores import ACCURACY
from repcon_jax.typing import Key, Params

_SCORE = dataclasses.replace(
    ACCURACY, about="a linear layer, converged and tuned on standardised features, whose scale does not matter"
)


@PROBES.register("linear_tuned")
def linear_tuned(
    *,
    grid: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2),
    held_out: float = 0.2,
    patience: int = 2,
    max_iterations: int = 500,
    tolerance: float = 1e-4,
    precondition_up_to: int = 4096,
) -> Probe:
    """Standardised features, converged logistic regression, penalty chosen on a held-out part of the training set.

    C is the one of highest held-out accuracy. The path runs from the strongest penalty to the weakest, each fit
    starting from the last, and ends where the held-out loss only rises (accuracy has plateaus, the loss has none):
    the weakest penalties, which take longest, are seldom tried. The chosen C is fitted once more to the whole
    training set, and the test set is looked at once.

    Args:
        grid: values of C, scikit-learn's inverse strength of the penalty.
        held_out: fraction of every class of the training set on which C is chosen.
        patience: values of C in a row at which the held-out loss is above its lowest before the path ends.
        max_iterations, tolerance: of L-BFGS, see ``fit_logistic_regression``.
        precondition_up_to: number of features up to which the solver is preconditioned; beyond it the matrix
            [features, features] costs more than it saves.
    Raises:
        ArgumentError: the grid is empty or not positive, or held_out is not in (0, 1).
    """
    if not grid or min(grid) <= 0:
        raise ArgumentError("grid", f"is {grid!r} but must hold positive values of C", "give at least one")
    check_range("held_out", held_out, 0.0, 1.0, open_low=True, open_high=True)
    check_range("patience", patience, 1)
    check_range("max_iterations", max_iterations, 1)

    def fit_and_score(
        train_features: Float[Array, "train features"],
        train_labels: Int[Array, " train"],
        test_features: Float[Array, "test features"],
        test_labels: Int[Array, " test"],
        num_classes: int,
        key: Key,
    ) -> tuple[Float[Array, ""], Details]:
        train, test = standardise(train_features, test_features)
        fit = _solver(train, train_labels, precondition_up_to, max_iterations, tolerance)
        is_held_out = stratified_ranks(train_labels, stream(key, "held_out")) < held_out
        start = {"kernel": jnp.zeros((train.shape[1], num_classes)), "bias": jnp.zeros(num_classes)}
        held_out_score = partial(_held_out_score, train, train_labels, is_held_out)
        chosen = _choose_penalty(partial(fit, weights=1.0 - is_held_out), held_out_score, start, grid, patience)
        final = fit(chosen.fit.classifier, weights=jnp.ones(train.shape[0]), C=chosen.C)
        return accuracy(linear_logits(final.classifier, test), test_labels), _details(chosen, final)

    return Probe(fit_and_score, _SCORE, without_features=accuracy_of_most_frequent_class)


def _solver(
    features: Float[Array, "train features"],
    labels: Int[Array, " train"],
    precondition_up_to: int,
    max_iterations: int,
    tolerance: float,
) -> Callable[..., Fit]:
    """The fit to a training set as a function of start, weights and C, preconditioned where that pays."""
    moment = second_moment(features) if features.shape[1] <= precondition_up_to else None
    options = {"moment": moment, "max_iterations": max_iterations, "tolerance": tolerance}
    return partial(fit_logistic_regression, features=features, labels=labels, **options)


def _held_out_score(
    features: Float[Array, "train features"],
    labels: Int[Array, " train"],
    is_held_out: Bool[Array, " train"],
    classifier: Params,
) -> tuple[float, float]:
    """Accuracy and mean loss on the examples that are held out."""
    logits = linear_logits(classifier, features)
    losses = softmax_cross_entropies_with_labels(logits, labels)
    is_right = jnp.argmax(logits, axis=1) == labels
    return float(jnp.mean(is_right, where=is_held_out)), float(jnp.mean(losses, where=is_held_out))


class _Choice(NamedTuple):
    C: float
    fit: Fit
    accuracy: float
    iterations: int


def _choose_penalty(
    fit: Callable[..., Fit],
    held_out_score: Callable[[Params], tuple[float, float]],
    start: Params,
    grid: tuple[float, ...],
    patience: int,
) -> _Choice:
    choice, last, iterations = None, start, 0
    lowest_loss, rises = float("inf"), 0
    for C in sorted(grid):
        current = fit(last, C=C)
        last, iterations = current.classifier, iterations + int(current.iterations)
        held_out_accuracy, loss = held_out_score(last)
        if choice is None or held_out_accuracy > choice.accuracy:
            choice = _Choice(C, current, held_out_accuracy, iterations)
        rises = 0 if loss <= lowest_loss else rises + 1
        lowest_loss = min(loss, lowest_loss)
        if rises == patience:
            break
    return choice._replace(iterations=iterations)


def _details(chosen: _Choice, final: Fit) -> Details:
    return {
        "C": chosen.C,
        "held_out_accuracy": chosen.accuracy,
        "iterations": chosen.iterations + int(final.iterations),
        "converged": bool(final.converged),
    }
