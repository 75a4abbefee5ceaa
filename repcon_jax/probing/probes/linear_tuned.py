"""A linear probe that is converged and tuned: what a linear layer can read from the features at all."""

import dataclasses
from functools import partial

from jaxtyping import Array, Float, Int

from repcon_jax.errors import check_range
from repcon_jax.losses import accuracy, softmax_cross_entropies_with_labels
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.logistic_regression import fit_logistic_regression
from repcon_jax.probing.minimisation import second_moment
from repcon_jax.probing.penalty import Search
from repcon_jax.probing.preparation import prepare_features
from repcon_jax.probing.probe import PROBES, Details, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.standardisation import Normalisation
from repcon_jax.probing.tuning import Tuning, fit_tuned
from repcon_jax.records.scores import ACCURACY
from repcon_jax.typing import Key

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
        grid: values of C, scikit-learn's inverse strength of the penalty; it grows where its end is best. One
            value is taken as it is, and nothing is held out.
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
    tuning = Tuning(grid, search, default, held_out, patience)
    check_range("max_iterations", max_iterations, 1)

    def fit_and_score(
        train_features: Float[Array, "train features"],
        train_labels: Int[Array, " train"],
        test_features: Float[Array, "test features"],
        test_labels: Int[Array, " test"],
        num_classes: int,
        key: Key,
    ) -> tuple[Float[Array, ""], Details]:
        train, test, scale = prepare_features(train_features, test_features, normalisation)
        moment = second_moment(train) if train.shape[1] <= precondition_up_to else None
        options = {"moment": moment, "max_iterations": max_iterations, "tolerance": tolerance}
        fit = partial(fit_logistic_regression, features=train, labels=train_labels, **options)
        losses = softmax_cross_entropies_with_labels
        classifier, details = fit_tuned(fit, losses, train, train_labels, num_classes, tuning, key, scale)
        return accuracy(linear_logits(classifier, test), test_labels), details | {"normalisation": normalisation}

    return Probe(fit_and_score, _SCORE, without_features=accuracy_of_most_frequent_class)
