"""Small labelled features for every probe."""

import jax
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


@pytest.fixture(scope="session")
def standard_digits(digits):
    """Standardised digits: (features, labels, number of classes)."""
    from repcon_jax.probing.standardisation import standardise

    return standardise(digits[0], digits[0])[0], digits[1], 10


@pytest.fixture(scope="session")
def ill_conditioned():
    """30 features of condition number 1e6 and overlapping classes: (features, labels, number of classes)."""
    keys = jax.random.split(jax.random.key(0), 3)
    hidden = jax.random.normal(keys[0], (600, 30))
    rotation, _ = jnp.linalg.qr(jax.random.normal(keys[1], (30, 30)))
    labels = jax.random.categorical(keys[2], hidden[:, :12:3])
    return hidden @ jnp.diag(jnp.logspace(0, -6, 30)) @ rotation, labels, 4


@pytest.fixture(scope="session")
def separable():
    """Three classes far apart: (features, labels, number of classes)."""
    keys = jax.random.split(jax.random.key(1), 2)
    labels = jnp.arange(120) % 3
    return 8.0 * jax.random.normal(keys[0], (3, 5))[labels] + jax.random.normal(keys[1], (120, 5)), labels, 3


@pytest.fixture(params=["standard_digits", "ill_conditioned", "separable"])
def labelled_set(request):
    """Each of the three in turn."""
    return request.getfixturevalue(request.param)
