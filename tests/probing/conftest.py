"""Small labelled features for every probe."""

import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(scope="session")
def blobs():
    """Three well separated Gaussian classes: (train features, train labels, test features, test labels)."""
    generator = np.random.default_rng(0)
    centres = 6.0 * generator.normal(size=(3, 4))

    def draw(size):
        labels = generator.integers(0, 3, size)
        features = centres[labels] + generator.normal(size=(size, 4))
        return jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.int32)

    return *draw(90), *draw(45)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits: (train features, train labels, test features, test labels)."""
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    features, labels = jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.int32)
    return features[:800], labels[:800], features[800:1200], labels[800:1200]
