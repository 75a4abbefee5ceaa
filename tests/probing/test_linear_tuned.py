"""Converged logistic regression against scikit-learn, and the choice of its penalty."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from repcon_jax.errors import ConfigError
from repcon_jax.probing import PROBES
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.logistic_regression import fit_logistic_regression, second_moment
from repcon_jax.probing.standardisation import standardise


def zeros(num_features, num_classes):
    return {"kernel": jnp.zeros((num_features, num_classes)), "bias": jnp.zeros(num_classes)}


@pytest.mark.parametrize("C", [1e-3, 1e-1, 10.0])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_coefficients_equal_scikit_learn(digits, C, preconditioned):
    features, labels, _, _ = digits
    features, _ = standardise(features, features)
    reference = LogisticRegression(C=C, tol=1e-6, max_iter=5000).fit(np.asarray(features, np.float64), labels)
    moment = second_moment(features) if preconditioned else None
    fit = fit_logistic_regression(
        zeros(64, 10), features, labels, jnp.ones(800), C, moment, max_iterations=2000, tolerance=3e-6
    )
    assert bool(fit.converged)
    scale = np.abs(reference.coef_).max()
    np.testing.assert_allclose(fit.classifier["kernel"], reference.coef_.T, atol=2e-2 * scale)
    predictions = jnp.argmax(linear_logits(fit.classifier, features), axis=1)
    np.testing.assert_array_equal(predictions, reference.predict(features))


def test_preconditioning_saves_iterations_where_features_are_correlated_and_classes_overlap():
    keys = jax.random.split(jax.random.key(0), 3)
    hidden = jax.random.normal(keys[0], (800, 64))
    mixed = hidden @ jnp.diag(jnp.logspace(0, -2, 64)) @ jax.random.normal(keys[1], (64, 64))
    labels = jax.random.categorical(keys[2], hidden[:, :60:6])
    problem = zeros(64, 10), standardise(mixed, mixed)[0], labels, jnp.ones(800), 10.0
    preconditioned = fit_logistic_regression(*problem, second_moment(problem[1]))
    plain = fit_logistic_regression(*problem, max_iterations=3 * preconditioned.iterations)
    assert bool(preconditioned.converged)
    assert not bool(plain.converged)


def test_an_example_of_weight_zero_is_left_out(digits):
    features, labels, _, _ = digits
    features, _ = standardise(features, features)
    weights = (jnp.arange(800) < 300).astype(jnp.float32)
    fit = fit_logistic_regression(zeros(64, 10), features, labels, weights, 1e-2, tolerance=1e-5)
    reference = LogisticRegression(C=1e-2, tol=1e-6).fit(np.asarray(features[:300], np.float64), labels[:300])
    np.testing.assert_allclose(fit.classifier["kernel"], reference.coef_.T, atol=1e-3)


def test_probe_reaches_the_best_penalty_of_scikit_learn(digits):
    probe = PROBES.build("linear_tuned", grid=(1e-3, 1e-2, 1e-1))
    accuracy, details = probe.fit_and_score(*digits, 10, jax.random.key(0))
    train, test = standardise(digits[0], digits[2])
    reference = max(
        LogisticRegression(C=C, max_iter=1000).fit(train, digits[1]).score(test, digits[3]) for C in (1e-2, 1e-1)
    )
    assert details["converged"]
    assert details["C"] > 1e-3
    assert accuracy > reference - 0.02


def test_probe_does_not_see_the_scale_of_features(digits):
    train, train_labels, test, test_labels = digits
    scales = 2.0 ** jax.random.randint(jax.random.key(1), (64,), -20, 20)
    probe = PROBES.build("linear_tuned", grid=(1e-2, 1e-1)).fit_and_score
    plain, plain_details = probe(*digits, 10, jax.random.key(0))
    scaled, scaled_details = probe(train * scales, train_labels, test * scales, test_labels, 10, jax.random.key(0))
    assert plain == scaled
    assert plain_details == scaled_details


def test_path_ends_once_the_held_out_loss_only_rises(digits):
    train, labels, test, test_labels = digits
    noisy = train + 20.0 * jax.random.normal(jax.random.key(0), train.shape), labels, test, test_labels, 10
    details = [PROBES.build("linear_tuned", patience=p).fit_and_score(*noisy, jax.random.key(0))[1] for p in (1, 9)]
    assert details[0]["iterations"] < details[1]["iterations"]
    assert details[0]["C"] == details[1]["C"]


@pytest.mark.parametrize("options", [{"grid": ()}, {"grid": (0.0,)}, {"held_out": 1.0}])
def test_impossible_options_are_named(options):
    with pytest.raises(ConfigError, match=f"probe.{next(iter(options))}"):
        PROBES.build("linear_tuned", **options)
