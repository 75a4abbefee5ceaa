"""k nearest neighbours against scikit-learn and a sorted reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.neighbors import KNeighborsClassifier

from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.probing import PROBES
from repcon_jax.probing.neighbours import predict_by_neighbours


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
    predictions = predict_by_neighbours(train, labels, test, (neighbours,), 10, chunk_size)[0]
    np.testing.assert_array_equal(predictions, expected)


@pytest.mark.parametrize("neighbours", [1, 2, 5, 20])
def test_equal_distances_and_equal_votes_are_broken_by_order_and_by_class(neighbours):
    generator = np.random.default_rng(0)
    train = jnp.asarray(generator.integers(0, 4, (200, 3)), jnp.float32)
    test = jnp.asarray(generator.integers(0, 4, (100, 3)), jnp.float32)
    labels = jnp.asarray(generator.integers(0, 5, 200))
    expected = sorted_reference(train, labels, test, neighbours)
    np.testing.assert_array_equal(predict_by_neighbours(train, labels, test, (neighbours,), 5)[0], expected)


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
    near = predict_by_neighbours(train, labels, test, (5,), 10)
    # 2048 plus a multiple of 1/16 is exact in float32, but its square is not.
    far = predict_by_neighbours(2048.0 + train / 16, labels, 2048.0 + test / 16, (5,), 10)
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
    found = predict_by_neighbours(given[0], jnp.asarray(labels), given[1], (20,), 10, temperature=temperature)[0]
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


@pytest.mark.parametrize("temperature", [None, 0.1])
def test_several_numbers_of_neighbours_at_once_are_one_after_the_other(digits, temperature):
    train, labels, test, _ = digits
    train, test = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (train, test))
    together = predict_by_neighbours(train, labels, test, (1, 7, 40), 10, 64, temperature)
    for count, found in zip((1, 7, 40), together, strict=True):
        np.testing.assert_array_equal(
            found, predict_by_neighbours(train, labels, test, (count,), 10, 400, temperature)[0]
        )


def test_classes_with_equally_many_votes_are_told_apart_as_scikit_learn_does():
    # Distances all differ, so that only votes can be equal: two classes and even numbers of neighbours.
    generator = np.random.default_rng(1)
    train, test = generator.normal(size=(150, 2)).astype(np.float32), generator.normal(size=(300, 2)).astype(np.float32)
    labels = generator.integers(0, 2, 150)
    for count in (2, 4, 6):
        reference = KNeighborsClassifier(count, algorithm="brute").fit(train, labels)
        assert np.any(reference.predict_proba(test) == 0.5)
        found = predict_by_neighbours(jnp.asarray(train), jnp.asarray(labels), jnp.asarray(test), (count,), 2)[0]
        np.testing.assert_array_equal(found, reference.predict(test))


def test_of_several_numbers_of_neighbours_the_best_on_held_out_examples_is_taken():
    # Labels with much noise: one neighbour reads the noise, a hundred read the class.
    keys = jax.random.split(jax.random.key(0), 3)
    classes = jnp.arange(900) % 3
    centres = jnp.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    features = centres[classes] + jax.random.normal(keys[0], (900, 2))
    labels = jnp.where(jax.random.uniform(keys[1], (900,)) < 0.4, jax.random.randint(keys[2], (900,), 0, 3), classes)
    data = features[:600], labels[:600], features[600:], labels[600:], 3, jax.random.key(0)
    accuracy, details = PROBES.build("knn", neighbours=(1, 100)).fit_and_score(*data)
    alone = PROBES.build("knn", neighbours=100).fit_and_score(*data)[0]
    assert int(details["neighbours"]) == 100
    assert accuracy == alone
    assert abs(float(details["held_out_accuracy"]) - float(accuracy)) < 0.15


def test_a_tuned_number_of_neighbours_needs_as_many_examples_beside_the_held_out_ones(blobs):
    probe = PROBES.build("knn", neighbours=(1, 20))
    assert probe.examples_needed == 24
    train, labels, test, test_labels = blobs
    probe.fit_and_score(train[:24], labels[:24], test, test_labels, 3, jax.random.key(0))
    with pytest.raises(ArgumentError, match=r"neighbours is \(1, 20\) but must lie in \[1, 19\]"):
        probe.fit_and_score(train[:23], labels[:23], test, test_labels, 3, jax.random.key(0))


def test_two_names_of_one_option_must_not_contradict_each_other(blobs):
    values = [
        PROBES.build("knn", **options).fit_and_score(*blobs, 3, jax.random.key(0))
        for options in ({"standardise": True}, {"normalisation": "standardise"})
    ]
    assert values[0] == values[1]
    with pytest.raises(ConfigError, match="standardise is True but normalisation is 'l2'; drop one of the two"):
        PROBES.build("knn", standardise=True, normalisation="l2")
