"""Ridge regression of the labels: a linear layer in closed form, whose penalty costs next to nothing to tune."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Scalar

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.losses import accuracy
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.penalty import hold_out
from repcon_jax.probing.preparation import prepare_features
from repcon_jax.probing.probe import PROBES, Details, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.ridge_regression import decompose, ridge_classifier
from repcon_jax.probing.standardisation import Normalisation
from repcon_jax.random import stream
from repcon_jax.records.scores import ACCURACY
from repcon_jax.typing import Key, Params

_SCORE = dataclasses.replace(ACCURACY, about="a linear layer fitted to the labels by least squares, its penalty tuned")


@PROBES.register("ridge")
def ridge(
    *,
    grid: tuple[float, ...] = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 15)),
    default: float = 1.0,
    held_out: float = 0.2,
    normalisation: Normalisation = "standardise",
) -> Probe:
    """Least squares to targets of 1 for the class and -1 for others, the penalty chosen on held-out examples.

    Of equal held-out accuracies the strongest penalty wins. The chosen one is fitted once more to the whole training
    set. Of two examples of each class one is held out; with one of each, the penalty is the default.

    Args:
        grid: values of the penalty, scikit-learn's alpha; one alone is taken as it is, and nothing is held out.
        default: the penalty where nothing can be held out.
        held_out: fraction of every class of the training set on which the penalty is chosen.
        normalisation: of the features.
    Raises:
        ArgumentError: the grid is empty or not positive, or another number is out of range.

    Source: Hoerl and Kennard, Ridge Regression (1970), equation 2.1; Rifkin et al., Regularized Least-Squares
    Classification (2003), section 3.
    """
    if not grid or min(grid) <= 0:
        raise ArgumentError("grid", f"is {grid!r} but must hold positive penalties", "give at least one")
    check_range("default", default, 0, open_low=True)
    check_range("held_out", held_out, 0.0, 1.0, open_low=True, open_high=True)
    penalties = sorted(grid, reverse=True)

    def fit_and_score(
        train_features: Float[Array, "train features"],
        train_labels: Int[Array, " train"],
        test_features: Float[Array, "test features"],
        test_labels: Int[Array, " test"],
        num_classes: int,
        key: Key,
    ) -> tuple[Float[Array, ""], Details]:
        train, test, scale = prepare_features(train_features, test_features, normalisation)
        is_held_out = hold_out(train_labels, held_out, stream(key, "held_out"))
        details: Details = {"penalty": default, "held_out_accuracy": None, "at_grid_end": False, "chosen": "default"}
        if len(penalties) == 1:
            details |= {"penalty": penalties[0], "chosen": "fixed"}
        elif bool(is_held_out.any()):
            scaled = jnp.asarray(penalties) / scale**2
            reached = held_out_accuracies(train, train_labels, is_held_out, scaled, num_classes)
            best = int(jnp.argmax(reached))
            at_end = best in (0, len(penalties) - 1)
            details = {"penalty": penalties[best], "held_out_accuracy": float(reached[best]), "at_grid_end": at_end}
            details["chosen"] = "held_out"
        classifier = _fit(train, train_labels, details["penalty"] / scale**2, num_classes)
        train_accuracy = float(accuracy(linear_logits(classifier, train), train_labels))
        details |= {"train_accuracy": train_accuracy, "normalisation": normalisation, "converged": True}
        return accuracy(linear_logits(classifier, test), test_labels), details

    return Probe(fit_and_score, _SCORE, without_features=accuracy_of_most_frequent_class)


@partial(jax.jit, static_argnames="num_classes")
def held_out_accuracies(
    features: Float[Array, "train features"],
    labels: Int[Array, " train"],
    is_held_out: Bool[Array, " train"],
    penalties: Float[Array, " penalties"],
    num_classes: int,
) -> Float[Array, " penalties"]:
    """The accuracy on the examples held out of the fit to the others, for every penalty from one decomposition.

    Args:
        features, labels: [train, features] and [train].
        is_held_out: [train].
        penalties: [penalties].
        num_classes: labels lie in 0 .. num_classes - 1.
    """
    decomposition = decompose(features, labels, 1.0 - is_held_out, num_classes)

    def accuracy_of(penalty: Float[Array, ""]) -> Float[Array, ""]:
        logits = linear_logits(ridge_classifier(decomposition, penalty), features)
        return jnp.mean(jnp.argmax(logits, axis=1) == labels, where=is_held_out)

    # A few at a time: the logits of all penalties need not fit into memory at once.
    return jax.lax.map(accuracy_of, penalties, batch_size=8)


@partial(jax.jit, static_argnames="num_classes")
def _fit(
    features: Float[Array, "train features"],
    labels: Int[Array, " train"],
    penalty: float | Scalar,
    num_classes: int,
) -> Params:
    return ridge_classifier(decompose(features, labels, jnp.ones(features.shape[0]), num_classes), penalty)
