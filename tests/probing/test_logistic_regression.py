"""The objective of logistic regression against scikit-learn in float64, also in coordinates made for the solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from sklearn.linear_model import LogisticRegression

from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.logistic_regression import fit_logistic_regression
from repcon_jax.probing.minimisation import second_moment
from repcon_jax.probing.preparation import prepare_features


def fitted(features, labels, num_classes, C):
    start = {"kernel": jnp.zeros((features.shape[1], num_classes)), "bias": jnp.zeros(num_classes)}
    options = {"max_iterations": 2000, "tolerance": 1e-5}
    moment = second_moment(features)
    return fit_logistic_regression(start, features, labels, jnp.ones(len(labels)), C, moment, **options)


def objective(kernel, bias, features, labels, C):
    logits = np.asarray(features, np.float64) @ np.asarray(kernel, np.float64) + np.asarray(bias, np.float64)
    losses = scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(labels)), np.asarray(labels)]
    return C * losses.sum() + 0.5 * np.sum(np.asarray(kernel, np.float64) ** 2)


def reference(features, labels, C):
    return LogisticRegression(C=C, tol=1e-7, max_iter=20000).fit(np.asarray(features, np.float64), labels)


@pytest.mark.parametrize("C", [1e-2, 1.0])
def test_the_objective_and_the_predictions_are_scikit_learns(labelled_set, C):
    features, labels, _ = labelled_set
    fit, expected = fitted(*labelled_set, C), reference(features, labels, C)
    assert bool(fit.converged)
    lowest = objective(expected.coef_.T, expected.intercept_, features, labels, C)
    reached = objective(fit.classifier["kernel"], fit.classifier["bias"], features, labels, C)
    assert reached == pytest.approx(lowest, rel=1e-4)
    predictions = np.asarray(linear_logits(fit.classifier, features)).argmax(1)
    assert np.mean(predictions == expected.predict(np.asarray(features, np.float64))) >= 0.998


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_features_of_any_size_and_offset_are_fitted_to_the_same_tolerance(digits, factor):
    train, labels, test, _ = digits
    train, test = factor * (train + 30.0), factor * (test + 30.0)
    prepared = prepare_features(train, test, "none")
    C = 1e-3 / factor**2
    fit = fitted(prepared.train, labels, 10, C * prepared.scale**2)
    # scikit-learn's own tolerance sees the offset and the size, so it is given the features without them.
    expected = reference(train / factor - 30.0, labels, 1e-3).decision_function(np.asarray(test / factor - 30.0))
    logits = np.asarray(linear_logits(fit.classifier, prepared.test))
    centred = [x - x.mean(1, keepdims=True) for x in (logits, expected)]
    np.testing.assert_allclose(*centred, atol=0.05)
    assert np.mean(logits.argmax(1) == expected.argmax(1)) >= 0.99


def test_penalties_side_by_side_are_penalties_one_by_one(separable):
    features, labels, num_classes = separable
    strengths = jnp.array([1e-3, 1e-1, 1.0])
    together = jax.vmap(lambda C: fitted(features, labels, num_classes, C))(strengths)
    assert together.converged.all()
    for index, C in enumerate(strengths):
        alone = fitted(features, labels, num_classes, C)
        np.testing.assert_allclose(together.classifier["kernel"][index], alone.classifier["kernel"], atol=2e-3)
