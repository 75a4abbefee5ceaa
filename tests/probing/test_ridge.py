"""Ridge regression against scikit-learn and the normal equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from repcon_jax.errors import ConfigError
from repcon_jax.probing import PROBES
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.preparation import prepare_features
from repcon_jax.probing.probes.ridge import held_out_accuracies
from repcon_jax.probing.ridge_regression import decompose, ridge_classifier
from repcon_jax.probing.standardisation import standardise


def fitted(features, labels, penalty, num_classes=10):
    return ridge_classifier(decompose(features, labels, jnp.ones(len(labels)), num_classes), penalty)


@pytest.mark.parametrize("penalty", [1e-1, 1e1, 1e3])
def test_coefficients_equal_scikit_learn(digits, penalty):
    features, labels, test, _ = digits
    features, test = standardise(features, test)
    reference = RidgeClassifier(penalty).fit(np.asarray(features, np.float64), labels)
    classifier = fitted(features, labels, penalty)
    np.testing.assert_allclose(classifier["kernel"], reference.coef_.T, atol=1e-4)
    np.testing.assert_allclose(classifier["bias"], reference.intercept_, atol=1e-4)
    predictions = jnp.argmax(linear_logits(classifier, test), axis=1)
    np.testing.assert_array_equal(predictions, reference.predict(np.asarray(test, np.float64)))


def test_the_gradient_of_the_objective_is_zero_with_a_free_bias_and_weights(digits):
    features, labels, _, _ = digits
    features = features[:, :30] + 3.0
    weights = jax.random.uniform(jax.random.key(0), (800,))
    targets = 2.0 * jax.nn.one_hot(labels, 10) - 1.0

    def objective(classifier):
        errors = jnp.sum((targets - linear_logits(classifier, features)) ** 2, axis=1)
        return weights @ errors + 50.0 * jnp.sum(classifier["kernel"] ** 2)

    classifier = ridge_classifier(decompose(features, labels, weights, 10), 50.0)
    gradient = jax.grad(objective)(classifier)
    start = jax.grad(objective)(jax.tree.map(jnp.zeros_like, classifier))
    for name in ("kernel", "bias"):
        assert jnp.max(jnp.abs(gradient[name])) < 1e-3 * jnp.max(jnp.abs(start[name]))


def test_all_penalties_at_once_are_one_after_the_other_without_the_examples_held_out(digits):
    features, labels, _, _ = digits
    features, _ = standardise(features, features)
    is_held_out = jnp.arange(800) % 5 == 0
    penalties = jnp.array([1e-2, 1.0, 100.0, 1e4])
    found = held_out_accuracies(features, labels, is_held_out, penalties, 10)
    for penalty, value in zip(penalties, found, strict=True):
        reference = RidgeClassifier(float(penalty)).fit(features[~is_held_out], labels[~is_held_out])
        assert value == pytest.approx(reference.score(features[is_held_out], labels[is_held_out]), abs=1.5 / 160)


@pytest.mark.parametrize("normalisation", ["none", "standardise", "l2"])
@pytest.mark.parametrize("examples", [40, 800])
def test_preparation_leaves_the_logits_of_a_fit_as_they_are(digits, normalisation, examples):
    train, labels, test, _ = digits
    train, labels = 1e-2 * train[:examples], labels[:examples]
    plain, plain_test = train, 1e-2 * test
    if normalisation == "standardise":
        plain, plain_test = standardise(plain, plain_test)
    if normalisation == "l2":
        plain, plain_test = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (plain, plain_test))
    prepared = prepare_features(train, 1e-2 * test, normalisation)
    assert prepared.train.shape[1] == min(examples, 64)
    reference = RidgeClassifier(0.7).fit(np.asarray(plain, np.float64), labels)
    classifier = fitted(prepared.train, labels, 0.7 / prepared.scale**2)
    expected = reference.decision_function(np.asarray(plain_test, np.float64))
    np.testing.assert_allclose(linear_logits(classifier, prepared.test), expected, atol=5e-3)


def test_probe_reaches_scikit_learn_at_its_penalty(digits):
    accuracy, details = PROBES.build("ridge").fit_and_score(*digits, 10, jax.random.key(0))
    train, test = standardise(digits[0], digits[2])
    reference = RidgeClassifier(details["penalty"]).fit(train, digits[1])
    assert accuracy == pytest.approx(reference.score(test, digits[3]), abs=1e-2)
    assert details["train_accuracy"] == pytest.approx(reference.score(train, digits[1]), abs=1e-2)
    assert details["chosen"] == "held_out"
    assert not details["at_grid_end"]


def test_the_strongest_of_equal_penalties_wins_and_the_end_of_the_grid_is_said(blobs):
    _, details = PROBES.build("ridge", grid=(1e-3, 1e-2, 1e-1)).fit_and_score(*blobs, 3, jax.random.key(0))
    assert details["held_out_accuracy"] == 1
    assert details["penalty"] == 1e-1
    assert details["at_grid_end"]


def test_one_penalty_is_taken_as_it_is_and_one_example_of_each_class_takes_the_default(blobs):
    _, details = PROBES.build("ridge", grid=(5.0,)).fit_and_score(*blobs, 3, jax.random.key(0))
    assert (details["penalty"], details["chosen"]) == (5.0, "fixed")
    train, labels, test, test_labels = blobs
    few = jnp.stack([jnp.flatnonzero(labels == label)[0] for label in range(3)])
    probe = PROBES.build("ridge", default=0.3).fit_and_score
    accuracy, details = probe(train[few], labels[few], test, test_labels, 3, jax.random.key(0))
    assert (details["penalty"], details["chosen"], details["held_out_accuracy"]) == (0.3, "default", None)
    assert accuracy > 0.8


@pytest.mark.parametrize("options", [{"grid": ()}, {"grid": (-1.0,)}, {"held_out": 0.0}, {"default": 0.0}])
def test_impossible_options_are_named(options):
    with pytest.raises(ConfigError, match=f"probe.{next(iter(options))}"):
        PROBES.build("ridge", **options)
