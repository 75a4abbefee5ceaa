"""Converged logistic regression against scikit-learn, and the choice of its penalty."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from repcon_jax.errors import ConfigError
from repcon_jax.probing import PROBES
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.logistic_regression import fit_logistic_regression
from repcon_jax.probing.minimisation import second_moment
from repcon_jax.probing.penalty import Held, choose_penalty
from repcon_jax.probing.span import reduce_to_span
from repcon_jax.probing.standardisation import normalise_features, standardise


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


def test_with_fewer_examples_than_features_the_fit_in_their_span_is_the_fit():
    keys = jax.random.split(jax.random.key(0), 3)
    train, test = jax.random.normal(keys[0], (30, 90)), jax.random.normal(keys[1], (50, 90))
    labels = jnp.arange(30) % 3
    reduced, reduced_test = reduce_to_span(train, test)
    assert reduced.shape == (30, 30)
    np.testing.assert_allclose(reduced @ reduced.T, train @ train.T, atol=1e-3)
    whole = fit_logistic_regression(zeros(90, 3), train, labels, jnp.ones(30), 0.1, tolerance=1e-6)
    within = fit_logistic_regression(zeros(30, 3), reduced, labels, jnp.ones(30), 0.1, tolerance=1e-6)
    logits = [linear_logits(whole.classifier, test), linear_logits(within.classifier, reduced_test)]
    np.testing.assert_allclose(*logits, atol=1e-3)
    norms = [jnp.linalg.norm(fit.classifier["kernel"]) for fit in (whole, within)]
    np.testing.assert_allclose(*norms, rtol=1e-3)
    same, _ = reduce_to_span(test, train[:, :90])
    assert same.shape == (50, 50)
    tall = jax.random.normal(keys[2], (100, 90))
    assert reduce_to_span(tall, test)[0] is not None
    np.testing.assert_array_equal(reduce_to_span(tall, test)[0], tall)


@pytest.mark.parametrize(("best", "ended"), [(1e-7, False), (3.0, False), (1e4, False), (1e-20, True), (1e20, True)])
def test_the_grid_grows_until_the_best_stands_within_it_or_says_that_it_does_not(best, ended):
    def held(start, C):
        far = abs(np.log10(C / best))
        return Held(start, 1 - far / 100, far, 1)

    choice = choose_penalty(held, {}, (1e-2, 1e-1, 1.0), 2)
    assert choice.at_grid_end == ended
    if not ended:
        assert abs(np.log10(choice.C / best)) <= 0.5
    assert choice.iterations >= 3


def test_of_equal_accuracies_the_strongest_penalty_wins():
    choice = choose_penalty(lambda start, C: Held(start, 1.0, 1 / C, 1), {}, (1e-1, 1.0, 10.0), 2)
    assert choice.C == 1e-1


def test_bisection_finds_the_lowest_held_out_loss():
    def held(start, C):
        return Held(start, 0.5, (np.log10(C) - 0.3) ** 2, 1)

    choice = choose_penalty(held, {}, (1e-6, 1e2), 2, "bisection")
    assert abs(np.log10(choice.C) - 0.3) < 0.1
    assert not choice.at_grid_end
    assert choose_penalty(held, {}, (1e-6, 1.0), 2, "bisection").at_grid_end


@pytest.mark.parametrize(("each", "chosen"), [(1, "default"), (2, "held_out"), (5, "held_out")])
def test_few_examples_are_halved_and_with_one_of_each_class_the_penalty_is_the_default(digits, each, chosen):
    train, labels, test, test_labels = digits
    few = jnp.concatenate([jnp.flatnonzero(labels == label)[:each] for label in range(10)])
    probe = PROBES.build("linear_tuned", default=0.3)
    accuracy, details = probe.fit_and_score(train[few], labels[few], test, test_labels, 10, jax.random.key(0))
    assert details["chosen"] == chosen
    assert (details["C"] == 0.3) == (each == 1)
    assert accuracy > 0.3
    assert details["train_accuracy"] > 0.9


def test_normalisation_divides_by_the_norm_or_standardises_or_leaves(digits):
    train, _, test, _ = digits
    given = jnp.concatenate([train, jnp.zeros((1, 64))])
    scaled, other = normalise_features(given, test, "l2")
    np.testing.assert_allclose(jnp.linalg.norm(scaled[:-1], axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(scaled[-1], 0)
    np.testing.assert_allclose(other * jnp.linalg.norm(test, axis=1, keepdims=True), test, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(normalise_features(train, test, "none")[0], train)
    np.testing.assert_array_equal(normalise_features(train, test, "standardise")[1], standardise(train, test)[1])


@pytest.mark.parametrize("options", [{"grid": ()}, {"grid": (0.0,)}, {"held_out": 1.0}])
def test_impossible_options_are_named(options):
    with pytest.raises(ConfigError, match=f"probe.{next(iter(options))}"):
        PROBES.build("linear_tuned", **options)
