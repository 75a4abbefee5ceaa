"""Linear CKA against its formulation with kernels, and what it must not depend on."""

import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.probing.similarities.linear_cka import linear_cka


def features(seed, examples=40, size=7):
    return np.random.default_rng(seed).normal(size=(examples, size)).astype(np.float32) ** 3


def cka(first, second):
    return float(linear_cka(jnp.asarray(first), jnp.asarray(second)))


def test_it_is_the_alignment_of_centred_kernels():
    x, y = features(0), features(1, size=5) + features(0)[:, :5]
    centring = np.eye(40) - 1 / 40
    k, m = (centring @ (z.astype(float) @ z.T.astype(float)) @ centring for z in (x, y))
    assert cka(x, y) == pytest.approx(np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m)), rel=1e-5)


def test_rotations_factors_and_shifts_do_not_matter():
    x, y = features(0), features(1, size=5) + features(0)[:, :5]
    rotation, _ = np.linalg.qr(features(2, examples=7))
    moved = (3.0 * x @ rotation + features(3, examples=1)).astype(np.float32)
    assert cka(moved, y) == pytest.approx(cka(x, y), rel=1e-4)
    assert cka(moved, x) == pytest.approx(1.0, rel=1e-5)


def test_it_is_symmetric_and_at_most_1_and_sees_other_invertible_maps():
    x, y = features(0), features(1, size=5)
    assert cka(x, y) == pytest.approx(cka(y, x), rel=1e-6)
    assert 0 < cka(x, y) < 1
    stretched = x * np.array([100, 1, 1, 1, 1, 1, 1], np.float32)
    assert cka(x, stretched) < 0.9


def test_features_without_any_correlation_have_none():
    x = np.array([[1.0], [-1.0], [1.0], [-1.0]], np.float32)
    y = np.array([[1.0], [1.0], [-1.0], [-1.0]], np.float32)
    assert cka(x, y) == 0.0


def test_the_order_of_examples_matters_to_both_alike():
    x, y = features(0), features(0)[:, :4] ** 2
    order = np.random.default_rng(5).permutation(40)
    assert cka(x[order], y[order]) == pytest.approx(cka(x, y), rel=1e-5)
    assert cka(x[order], y) < cka(x, y)
