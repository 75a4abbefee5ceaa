"""Standardised features and stratified parts."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repcon_jax.probing.standardisation import standardise
from repcon_jax.probing.stratification import stratified_ranks


def test_training_set_has_mean_zero_and_unbiased_deviation_one():
    train = 5.0 + 3.0 * jax.random.normal(jax.random.key(0), (20, 4))
    standardised, test = standardise(train, train[:3])
    np.testing.assert_allclose(np.mean(standardised, axis=0), np.zeros(4), atol=1e-6)
    np.testing.assert_allclose(np.std(standardised, axis=0, ddof=1), np.ones(4), rtol=1e-5)
    np.testing.assert_array_equal(test, standardised[:3])


def test_constant_features_become_zero():
    train = jnp.full((100, 2), 0.1).at[:, 1].set(1e6)
    standardised, test = standardise(train, train[:3])
    np.testing.assert_allclose(standardised, np.zeros((100, 2)), atol=0.5)
    assert np.all(np.isfinite(test))


def test_a_tiny_but_real_deviation_is_scaled():
    train = 1e-12 * jax.random.normal(jax.random.key(0), (50, 1))
    standardised, _ = standardise(train, train)
    np.testing.assert_allclose(np.std(standardised, ddof=1), 1.0, rtol=1e-4)


@settings(deadline=None, max_examples=20)
@given(labels=st.lists(st.integers(0, 4), min_size=20, max_size=20), seed=st.integers(0, 100))
def test_every_class_is_held_out_in_proportion(labels, seed):
    ranks = np.asarray(stratified_ranks(jnp.array(labels), jax.random.key(seed)))
    for label in set(labels):
        own = ranks[np.array(labels) == label]
        np.testing.assert_allclose(np.sort(own), (np.arange(len(own)) + 0.5) / len(own), rtol=1e-6)
