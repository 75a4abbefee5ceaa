"""A linear probe that is converged and tuned: what a linear layer can read from the features at all."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.errors import check_range
from repcon_jax.losses import accuracy, softmax_cross_entropies_with_labels
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.logistic_regression import Fit, fit_logistic_regression, second_moment
from repcon_jax.probing.penalty import Choice, Held, Search, check_penalties, choose_penalty, held_out_quality, hold_out
from repcon_jax.probing.probe import PROBES, Details, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.span import reduce_to_span
from repcon_jax.probing.standardisation import Normalisation, normalise_features
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
    search: Search = "grid",
    default: float = 1.0,
    held_out: float = 0.2,
    patience: int = 2,
    normalisation: Normalisation = "standardise",
    max_iterations: int = 500,
    tolerance: float = 1e-4,
    precondition_up_to: int = 4096,
) -> Probe:
    """Standardised features, converged logistic regression, penalty chosen on a held-out part of the training set.

    The chosen C is fitted once more to the whole training set, and the test set is looked at once. Of two examples of
    each class one is held out; with one of each, C is the default.

    Args:
        grid: values of C, scikit-learn's inverse strength of the penalty; it grows where the best stands at its end.
        search: ``grid`` takes the highest held-out accuracy, ``bisection`` the lowest held-out loss between the ends of
            the grid, to a tenth of a decade; see ``repcon_jax.probing.penalty``.
        default: C where nothing can be held out.
        held_out: fraction of every class of the training set on which C is chosen.
        patience: values of C in a row at which the held-out loss is above its lowest before the path ends.
        normalisation: of the features.
        max_iterations, tolerance: of L-BFGS, see ``fit_logistic_regression``.
        precondition_up_to: number of features up to which the solver is preconditioned; beyond it the matrix
            [features, features] costs more than it saves.
    Raises:
        ArgumentError: the grid is empty or not positive, or another number is out of range.
    """
    check_penalties(grid, held_out, patience)
    check_range("default", default, 0, open_low=True)
    check_range("max_iterations", max_iterations, 1)

    def fit_and_score(
        train_features: Float[Array, "train features"],
        train_labels: Int[Array, " train"],
        test_features: Float[Array, "test features"],
        test_labels: Int[Array, " test"],
        num_classes: int,
        key: Key,
    ) -> tuple[Float[Array, ""], Details]:
        train, test = reduce_to_span(*normalise_features(train_features, test_features, normalisation))
        fit = _solver(train, train_labels, precondition_up_to, max_iterations, tolerance)
        is_held_out = hold_out(train_labels, held_out, stream(key, "held_out"))
        start = {"kernel": jnp.zeros((train.shape[1], num_classes)), "bias": jnp.zeros(num_classes)}
        choice = Choice(default, None, 0, False)
        if bool(is_held_out.any()):

            def held(start: Params, C: float) -> Held:
                fitted = fit(start, weights=1.0 - is_held_out, C=C)
                logits = linear_logits(fitted.classifier, train)
                losses = softmax_cross_entropies_with_labels(logits, train_labels)
                right, loss = held_out_quality(logits, losses, train_labels, is_held_out)
                return Held(fitted.classifier, float(right), float(loss), int(fitted.iterations))

            choice = choose_penalty(held, start, grid, patience, search)
        begin = start if choice.held is None else choice.held.classifier
        final = fit(begin, weights=jnp.ones(train.shape[0]), C=choice.C)
        details = _details(choice, final) | {
            "train_accuracy": float(accuracy(linear_logits(final.classifier, train), train_labels)),
            "normalisation": normalisation,
        }
        return accuracy(linear_logits(final.classifier, test), test_labels), details

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


def _details(choice: Choice, final: Fit) -> dict[str, Any]:
    return choice.details() | {
        "chosen": "default" if choice.held is None else "held_out",
        "iterations": choice.iterations + int(final.iterations),
        "converged": bool(final.converged),
    }
