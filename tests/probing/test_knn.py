"""k nearest neighbours against scikit-learn and a sorted reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.neighbors import KNeighborsClassifier

from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.probing import PROBES
from repcon_jax.probing.probes.knn import predict_by_neighbours


def sorted_reference(train, labels, test, neighbours):
    distances = np.sum((np.asarray(test)[:, None] - np.asarray(train)[None]) ** 2, axis=-1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :neighbours]
    # scipy's mode is the smallest of the most frequent values, as PyTorch's is.
    return scipy.stats.mode(np.asarray(labels)[nearest], axis=1).mode


@pytest.mark.parametrize("neighbours", [1, 4, 20])
@pytest.mark.parametrize("chunk_size", [7, 400])
def test_predictions_equal_scikit_learn(digits, neighbours, chunk_size):
    train, labels, test, _ = digits
    # Without the noise, digits have equally distant neighbours, among which scikit-learn chooses arbitrarily.
    train = train + 0.1 * jax.random.normal(jax.random.key(0), train.shape)
    expected = KNeighborsClassifier(neighbours, algorithm="brute").fit(train, labels).predict(test)
    predictions = predict_by_neighbours(train, labels, test, neighbours, 10, chunk_size)
    np.testing.assert_array_equal(predictions, expected)


@pytest.mark.parametrize("neighbours", [1, 2, 5, 20])
def test_equal_distances_and_equal_votes_are_broken_by_order_and_by_class(neighbours):
    generator = np.random.default_rng(0)
    train = jnp.asarray(generator.integers(0, 4, (200, 3)), jnp.float32)
    test = jnp.asarray(generator.integers(0, 4, (100, 3)), jnp.float32)
    labels = jnp.asarray(generator.integers(0, 5, 200))
    expected = sorted_reference(train, labels, test, neighbours)
    np.testing.assert_array_equal(predict_by_neighbours(train, labels, test, neighbours, 5), expected)


def test_accuracy_does_not_change_under_rotation_and_translation(digits):
    train, train_labels, test, test_labels = digits
    rotation, _ = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (64, 64)))
    probe = PROBES.build("knn", neighbours=5).fit_and_score
    plain = probe(*digits, 10, jax.random.key(0))[0]
    moved = probe(train @ rotation + 1.0, train_labels, test @ rotation + 1.0, test_labels, 10, jax.random.key(0))[0]
    assert abs(plain - moved) <= 2 / 400
    assert plain > 0.9


def test_neighbours_are_found_far_from_the_origin(digits):
    train, labels, test, _ = digits
    near = predict_by_neighbours(train, labels, test, 5, 10)
    # 2048 plus a multiple of 1/16 is exact in float32, but its square is not.
    far = predict_by_neighbours(2048.0 + train / 16, labels, 2048.0 + test / 16, 5, 10)
    np.testing.assert_array_equal(near, far)


def test_more_neighbours_than_examples_is_an_error(blobs):
    with pytest.raises(ArgumentError, match=r"neighbours is 91 but must lie in \[1, 90\]"):
        PROBES.build("knn", neighbours=91).fit_and_score(*blobs, 3, jax.random.key(0))


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_votes_weighted_by_cosines_are_those_of_a_loop(digits, temperature):
    train, labels, test, _ = (np.asarray(part, np.float64) for part in digits)
    train, test, labels = train - 8, (test - 8)[:60], labels.astype(int)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test)]
    expected = []
    for example in unit[1]:
        cosines = unit[0] @ example
        nearest = np.argsort(-cosines, kind="stable")[:20]
        votes = np.zeros(10)
        for i in nearest:
            votes[labels[i]] += np.exp(cosines[i] / temperature)
        expected.append(votes.argmax())
    given = [jnp.asarray(x, jnp.float32) for x in unit]
    found = predict_by_neighbours(given[0], jnp.asarray(labels), given[1], 20, 10, temperature=temperature)
    np.testing.assert_array_equal(found, expected)


def test_cosine_neighbours_equal_scikit_learn_and_zeros_give_no_nan(digits):
    train, labels, test, test_labels = digits
    train = (train + 0.1 * jax.random.normal(jax.random.key(0), train.shape) - 5).at[0].set(0)
    test = (test - 5).at[0].set(0)
    expected = (
        KNeighborsClassifier(5, algorithm="brute", metric="cosine").fit(train[1:], labels[1:]).score(test, test_labels)
    )
    probe = PROBES.build("knn", neighbours=5, metric="cosine").fit_and_score
    assert float(probe(train, labels, test, test_labels, 10, jax.random.key(0))[0]) == pytest.approx(
        expected, abs=0.006
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.1}, "temperature is 0.1 but weights need cosines; set metric='cosine'"),
        ({"temperature": 0.0, "metric": "cosine"}, "temperature"),
        ({"metric": "l1"}, "metric"),
    ],
)
def test_weights_need_cosines_and_a_positive_temperature(options, message):
    with pytest.raises(ConfigError, match=message):
        PROBES.build("knn", **options)
