"""A linear support vector machine that is converged and tuned."""

import dataclasses
from functools import partial

from jaxtyping import Array, Float, Int

from repcon_jax.errors import check_range
from repcon_jax.losses import accuracy
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.minimisation import second_moment
from repcon_jax.probing.penalty import Search
from repcon_jax.probing.preparation import prepare_features
from repcon_jax.probing.probe import PROBES, Details, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.standardisation import Normalisation
from repcon_jax.probing.support_vectors import MultiClass, fit_support_vector_machine, hinge_losses
from repcon_jax.probing.tuning import Tuning, fit_tuned
from repcon_jax.records.scores import ACCURACY
from repcon_jax.typing import Key


@PROBES.register("svm")
def svm(
    *,
    multi_class: MultiClass = "one_vs_rest",
    smoothing: float = 0.01,
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
    """A linear support vector machine, its penalty chosen on a held-out part of the training set.

    It differs from ``linear_tuned`` in the loss alone. The bias is not penalised.

    Args:
        multi_class: ``one_vs_rest`` is a machine for each class with the squared hinge, ``crammer_singer`` one for all
            with a smoothed hinge, see ``hinge_losses``.
        smoothing: of the hinge of ``crammer_singer``, in units of the margin.
        grid: values of C, scikit-learn's inverse strength of the penalty; it grows where its end is best. One
            value is taken as it is, and nothing is held out.
        search: ``grid`` takes the highest held-out accuracy, ``bisection`` the lowest held-out loss between the ends of
            the grid, to a tenth of a decade; see ``repcon_jax.probing.penalty``.
        default: C where nothing can be held out.
        held_out: fraction of every class of the training set on which C is chosen.
        patience: values of C in a row at which the held-out loss is above its lowest before the path ends.
        normalisation: of the features.
        max_iterations, tolerance: of L-BFGS, see ``fit_support_vector_machine``.
        precondition_up_to: number of features up to which the solver is preconditioned; beyond it the matrix
            [features, features] costs more than it saves.
    Raises:
        ArgumentError: the grid is empty or not positive, or another number is out of range.

    Source: see ``fit_support_vector_machine``.
    """
    tuning = Tuning(grid, search, default, held_out, patience)
    check_range("smoothing", smoothing, 0, open_low=True)
    check_range("max_iterations", max_iterations, 1)
    losses = partial(hinge_losses, multi_class=multi_class, smoothing=smoothing)

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
        fit = partial(
            fit_support_vector_machine,
            features=train,
            labels=train_labels,
            moment=moment,
            multi_class=multi_class,
            smoothing=smoothing,
            max_iterations=max_iterations,
            tolerance=tolerance,
        )
        classifier, details = fit_tuned(fit, losses, train, train_labels, num_classes, tuning, key, scale)
        said = {"normalisation": normalisation, "multi_class": multi_class}
        return accuracy(linear_logits(classifier, test), test_labels), details | said

    about = f"a linear support vector machine ({multi_class.replace('_', ' ')}), converged and tuned"
    score = dataclasses.replace(ACCURACY, about=about)
    return Probe(fit_and_score, score, without_features=accuracy_of_most_frequent_class)
