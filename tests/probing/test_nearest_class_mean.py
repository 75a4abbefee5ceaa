"""The nearest class mean against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid

from repcon_jax.probing import PROBES
from repcon_jax.probing.probes.nearest_class_mean import class_means, closeness_to_means


def test_predictions_equal_scikit_learn(digits):
    train, labels, test, _ = digits
    train = train + 0.01 * jax.random.normal(jax.random.key(0), train.shape)  # it warns of constant features
    reference = NearestCentroid().fit(train, labels)
    means = class_means(train, labels, 10)
    np.testing.assert_allclose(means, reference.centroids_, rtol=1e-5, atol=1e-5)
    predictions = jnp.argmax(closeness_to_means(means, test, "euclidean"), axis=1)
    np.testing.assert_array_equal(predictions, reference.predict(test))


def test_distances_are_exact_far_from_the_origin(digits):
    train, labels, test, _ = digits
    near, far = (
        closeness_to_means(class_means(train / 16 + shift, labels, 10), test / 16 + shift, "euclidean").argmax(1)
        for shift in (0.0, 512.0)
    )
    assert jnp.mean(near == far) > 0.99


def test_cosines_do_not_see_the_length_of_a_feature(digits):
    train, labels, test, test_labels = digits
    probe = PROBES.build("nearest_class_mean", metric="cosine", normalisation="l2").fit_and_score
    lengths = 1.0 + jnp.arange(400.0)[:, None]
    plain = probe(train, labels, test, test_labels, 10, jax.random.key(0))[0]
    scaled = probe(train, labels, test * lengths, test_labels, 10, jax.random.key(0))[0]
    assert plain == scaled
    means = class_means(train, labels, 10)
    unit = [np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True) for x in (test, means)]
    found = closeness_to_means(means, test, "cosine").argmax(1)
    assert np.mean(found == (unit[0] @ unit[1].T).argmax(1)) > 0.99


def test_a_class_without_examples_is_never_answered(digits):
    train, labels, test, test_labels = digits
    kept = labels != 3
    probe = PROBES.build("nearest_class_mean").fit_and_score
    value, details = probe(train[kept], labels[kept], test, test_labels, 10, jax.random.key(0))
    means = class_means(train[kept], labels[kept], 10)
    assert jnp.isnan(means[3]).all()
    assert not (closeness_to_means(means, test, "euclidean").argmax(1) == 3).any()
    assert 0.7 < value < 0.95
    assert details["train_accuracy"] > 0.8


@pytest.mark.parametrize("name", ["knn(neighbours=1)", "linear(epochs=2)", "linear_tuned", "nearest_class_mean"])
def test_no_test_label_and_no_other_test_example_touches_a_fit(digits, name):
    """With other test labels, and other test examples beside them, the details and the first predictions stay."""
    train, labels, test, test_labels = digits
    probe, key = PROBES.parse(name, "probe").fit_and_score, jax.random.key(0)
    value, details = probe(train, labels, test, test_labels, 10, key)
    poisoned, others = probe(train, labels, test, (test_labels + 1) % 10, 10, key)
    assert details == others
    assert poisoned < value
    mixed = jnp.concatenate([test[:200], -100 * test[200:]])
    half = probe(train, labels, test[:200], test_labels[:200], 10, key)
    hidden = jnp.concatenate([test_labels[:200], jnp.full(200, -1)])
    assert probe(train, labels, mixed, hidden, 10, key)[0] * 400 == pytest.approx(float(half[0]) * 200, abs=1.01)
    assert half[1] == details
