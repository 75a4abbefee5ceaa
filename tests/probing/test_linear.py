"""The paper's probe against AdamW written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from repcon_jax.probing import PROBES
from repcon_jax.probing.linear_classifier import init_linear_classifier
from repcon_jax.probing.probes.linear import fixed_batches, train_linear_classifier


def adamw_in_float64(kernel, bias, features, labels, order, batch_size, epochs, lr=1e-3, decay=1e-2):
    parameters = [np.asarray(kernel, np.float64), np.asarray(bias, np.float64)]
    first, second = [np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters]
    step = 0
    for _ in range(epochs):
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            probabilities = scipy.special.softmax(features[batch] @ parameters[0] + parameters[1], axis=1)
            error = (probabilities - np.eye(probabilities.shape[1])[labels[batch]]) / len(batch)
            step += 1
            for i, gradient in enumerate([features[batch].T @ error, error.sum(0)]):
                first[i] = 0.9 * first[i] + 0.1 * gradient
                second[i] = 0.999 * second[i] + 0.001 * gradient**2
                parameters[i] *= 1 - lr * decay
                scale = np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8
                parameters[i] -= lr * first[i] / (1 - 0.9**step) / scale
    return parameters


@pytest.mark.parametrize("num_examples", [48, 53])
def test_training_equals_adamw_in_numpy_with_the_last_batch_kept(num_examples):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(num_examples, 5)).astype(np.float32)
    labels = generator.integers(0, 3, num_examples)
    order = generator.permutation(num_examples)
    start = init_linear_classifier(jax.random.key(0), 5, 3)
    batches, is_real = fixed_batches(jnp.asarray(order), 16)
    trained = train_linear_classifier(
        start, jnp.asarray(features), jnp.asarray(labels), batches, is_real, 1e-3, 1e-2, epochs=10
    )
    kernel, bias = adamw_in_float64(start["kernel"], start["bias"], features, labels, order, 16, 10)
    np.testing.assert_allclose(trained["kernel"], kernel, atol=2e-6)
    np.testing.assert_allclose(trained["bias"], bias, atol=2e-6)


def test_initialisation_is_uniform_within_pytorchs_bound():
    classifier = init_linear_classifier(jax.random.key(0), 400, 50)
    assert 0.0499 < jnp.max(jnp.abs(classifier["kernel"])) <= 0.05
    np.testing.assert_allclose(jnp.std(classifier["kernel"]), 0.05 / 3**0.5, rtol=0.02)
    assert jnp.max(jnp.abs(classifier["bias"])) <= 0.05


def test_batches_hold_every_example_once():
    batches, is_real = fixed_batches(jnp.arange(10)[::-1], 4)
    assert batches.shape == (3, 4)
    assert batches[is_real].tolist() == list(range(9, -1, -1))


@pytest.mark.parametrize("options", [{}, {"standardise": True}, {"shuffle": False}])
def test_probe_learns_separable_classes(options, blobs):
    probe = PROBES.build("linear", epochs=30, batch_size=10, learning_rate=1e-2, **options).fit_and_score
    accuracy, _ = probe(*blobs, 3, jax.random.key(0))
    assert accuracy.dtype == jnp.float32
    assert accuracy > 0.95


def test_standardised_probe_does_not_see_scale_and_offset(blobs):
    train, train_labels, test, test_labels = blobs
    probe = PROBES.build("linear", epochs=3, standardise=True).fit_and_score
    plain = probe(train, train_labels, test, test_labels, 3, jax.random.key(1))[0]
    scaled = probe(8.0 * train + 2.0, train_labels, 8.0 * test + 2.0, test_labels, 3, jax.random.key(1))[0]
    assert plain == scaled
