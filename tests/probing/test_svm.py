"""Linear support vector machines against scikit-learn and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from sklearn.svm import LinearSVC

from repcon_jax.errors import ConfigError
from repcon_jax.probing import PROBES
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.minimisation import second_moment
from repcon_jax.probing.standardisation import standardise
from repcon_jax.probing.support_vectors import fit_support_vector_machine, hinge_losses


def zeros(num_features, num_classes):
    return {"kernel": jnp.zeros((num_features, num_classes)), "bias": jnp.zeros(num_classes)}


def fitted(features, labels, num_classes, C, **options):
    problem = zeros(features.shape[1], num_classes), features, labels, jnp.ones(features.shape[0]), C
    return fit_support_vector_machine(*problem, second_moment(features), **options)


def squared_hinge_objective(kernel, bias, features, labels, C):
    """Of one against the rest, in float64."""
    signs = 2.0 * np.eye(len(bias))[np.asarray(labels)] - 1.0
    hinges = np.maximum(0, 1 - signs * (np.asarray(features, np.float64) @ kernel + bias))
    return C * np.sum(hinges**2) + 0.5 * np.sum(np.asarray(kernel, np.float64) ** 2)


def hinge_objective(kernel, bias, features, labels, C):
    """Of Crammer and Singer, in float64, written out with a loop."""
    kernel, bias = np.asarray(kernel, np.float64), np.asarray(bias, np.float64)
    total = 0.5 * np.sum(kernel**2)
    for x, y in zip(np.asarray(features, np.float64), np.asarray(labels), strict=True):
        logits = x @ kernel + bias
        margins = logits - logits[y] + 1.0
        margins[y] = 0.0
        total += C * margins.max()
    return total


@pytest.mark.parametrize("C", [1e-3, 1.0])
def test_one_against_the_rest_reaches_the_lowest_objective_of_scipy(labelled_set, C):
    features, labels, num_classes = labelled_set
    fit = fitted(features, labels, num_classes, C, max_iterations=2000, tolerance=1e-5)
    assert bool(fit.converged)
    exact, signs = np.asarray(features, np.float64), 2.0 * np.eye(num_classes)[np.asarray(labels)] - 1.0

    def objective(flat, k):
        hinges = np.maximum(0, 1 - signs[:, k] * (exact @ flat[:-1] + flat[-1]))
        slopes = -2 * C * hinges * signs[:, k]
        return C * hinges @ hinges + flat[:-1] @ flat[:-1] / 2, np.append(exact.T @ slopes + flat[:-1], slopes.sum())

    options = {"maxiter": 20000, "maxfun": 40000, "gtol": 1e-8, "ftol": 1e-14}
    start = np.zeros(exact.shape[1] + 1)
    references = [
        scipy.optimize.minimize(objective, start, (k,), jac=True, method="L-BFGS-B", options=options)
        for k in range(num_classes)
    ]
    reached = squared_hinge_objective(fit.classifier["kernel"], fit.classifier["bias"], features, labels, C)
    assert reached == pytest.approx(sum(reference.fun for reference in references), rel=1e-4)
    logits = np.stack([exact @ reference.x[:-1] + reference.x[-1] for reference in references], axis=1)
    own = np.asarray(linear_logits(fit.classifier, features))
    assert np.mean(own.argmax(1) == logits.argmax(1)) >= 0.995


def test_one_against_the_rest_is_linear_svc_with_a_bias_that_is_hardly_penalised(standard_digits):
    features, labels, _ = standard_digits
    fit = fitted(features, labels, 10, 0.01, max_iterations=2000, tolerance=1e-5)
    reference = LinearSVC(C=0.01, dual=False, intercept_scaling=100.0, tol=1e-6, max_iter=10000)
    reference.fit(np.asarray(features, np.float64), labels)
    np.testing.assert_allclose(fit.classifier["kernel"], reference.coef_.T, atol=2e-3)
    own = np.asarray(linear_logits(fit.classifier, features)).argmax(1)
    assert np.mean(own == reference.predict(np.asarray(features, np.float64))) >= 0.995


@pytest.mark.parametrize("C", [1e-3, pytest.param(1e-2, marks=pytest.mark.slow)])
def test_the_smoothed_hinge_comes_as_near_to_crammer_and_singer_as_it_promises(standard_digits, C):
    features, labels, num_classes = standard_digits
    reference = LinearSVC(C=C, multi_class="crammer_singer", intercept_scaling=100.0, tol=1e-6, max_iter=100000)
    reference.fit(np.asarray(features, np.float64), labels)
    lowest = hinge_objective(reference.coef_.T, reference.intercept_, features, labels, C)
    objectives, smoothings = [], (0.1, 0.01)
    for smoothing in smoothings:
        options = {"multi_class": "crammer_singer", "smoothing": smoothing, "max_iterations": 3000}
        fit = fitted(features, labels, num_classes, C, tolerance=1e-5, **options)
        objectives.append(hinge_objective(fit.classifier["kernel"], fit.classifier["bias"], features, labels, C))
        assert bool(fit.converged)
        assert objectives[-1] <= lowest + C * 800 * smoothing * np.log(10)
    # The reference penalises the bias a little, so that it is at most that much above ours.
    assert lowest * (1 - 1e-3) <= objectives[1] <= objectives[0]
    assert objectives[1] == pytest.approx(lowest, rel=1e-2)
    own = np.asarray(linear_logits(fit.classifier, features)).argmax(1)
    assert np.mean(own == reference.predict(np.asarray(features, np.float64))) >= 0.99


def test_machines_side_by_side_are_machines_one_by_one(separable):
    features, labels, num_classes = separable
    together = fitted(features, labels, num_classes, 0.1, tolerance=1e-6)
    for k in range(num_classes):
        alone = fitted(features, (labels == k).astype(jnp.int32), 2, 0.1, tolerance=1e-6)
        np.testing.assert_allclose(together.classifier["kernel"][:, k], alone.classifier["kernel"][:, 1], atol=1e-4)


def test_an_example_of_weight_zero_is_left_out(separable):
    features, labels, num_classes = separable
    weights = (jnp.arange(120) < 60).astype(jnp.float32)
    start = zeros(5, num_classes)
    part = fit_support_vector_machine(start, features, labels, weights, 0.1, tolerance=1e-6)
    alone = fit_support_vector_machine(start, features[:60], labels[:60], jnp.ones(60), 0.1, tolerance=1e-6)
    np.testing.assert_allclose(part.classifier["kernel"], alone.classifier["kernel"], atol=1e-4)


def test_the_smoothed_hinge_lies_above_the_hinge_by_no_more_than_its_bound():
    logits = 2.0 * jax.random.normal(jax.random.key(0), (200, 7))
    labels = jnp.arange(200) % 7
    margins = logits - logits[jnp.arange(200), labels][:, None] + 1.0 - jax.nn.one_hot(labels, 7)
    for smoothing in (1.0, 0.1, 0.01):
        excess = hinge_losses(logits, labels, "crammer_singer", smoothing) - margins.max(axis=1)
        assert -1e-5 <= excess.min() <= excess.max() <= smoothing * np.log(7) + 1e-5


@pytest.mark.parametrize("multi_class", ["one_vs_rest", "crammer_singer"])
def test_probe_reads_digits_as_well_as_linear_svc(digits, multi_class):
    train, test = standardise(digits[0], digits[2])
    reference = LinearSVC(C=0.01, dual=False).fit(train, digits[1]).score(test, digits[3])
    probe = PROBES.build("svm", multi_class=multi_class, grid=(1e-3, 1e-2, 1e-1))
    accuracy, details = probe.fit_and_score(*digits, 10, jax.random.key(0))
    assert accuracy > reference - 0.02
    assert details["converged"]
    assert details["train_accuracy"] > 0.98
    assert details["multi_class"] == multi_class


def test_one_value_of_C_is_taken_as_it_is(digits):
    _, details = PROBES.build("svm", grid=(0.02,)).fit_and_score(*digits, 10, jax.random.key(0))
    assert (details["C"], details["chosen"], details["held_out_accuracy"]) == (0.02, "fixed", None)


@pytest.mark.parametrize("options", [{"grid": ()}, {"smoothing": 0.0}, {"multi_class": "one_vs_one"}])
def test_impossible_options_are_named(options):
    with pytest.raises(ConfigError, match=f"probe.{next(iter(options))}"):
        PROBES.build("svm", **options)
