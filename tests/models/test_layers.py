"""Initialisations against the moments of their distributions, and the normalisation of vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from repcon_jax.models import create_encoder, create_head
from repcon_jax.models.kernels import gelu, materialised
from repcon_jax.models.layers import (
    kaiming_normal,
    l2_normalise,
    scale_width,
    truncated_normal,
    uniform_fan_in,
)

KEY = jax.random.key(5)


def _assert_moments(values, variance, kurtosis):
    """Mean, variance and fourth moment within five standard errors; all are symmetric about zero."""
    z = np.asarray(values, np.float64).ravel() / np.sqrt(variance)
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs((z**2).mean() - 1) < 5 * np.sqrt((kurtosis - 1) / z.size)
    assert abs((z**4).mean() - kurtosis) < 5 * (z**4).std() / np.sqrt(z.size)


@pytest.mark.parametrize("shape", [(3, 3, 16, 64), (1, 1, 64, 128), (7, 7, 3, 32)])
def test_kaiming_normal_has_variance_two_over_fan_out(shape):
    _assert_moments(kaiming_normal(KEY, shape), 2 / (shape[0] * shape[1] * shape[3]), kurtosis=3)


def test_truncated_normal_is_in_effect_not_truncated():
    _assert_moments(truncated_normal(KEY, (200, 100)), 0.02**2, kurtosis=3)


def test_uniform_fan_in_is_pytorchs_default():
    values = uniform_fan_in(25)(KEY, (200, 100))
    _assert_moments(values, (1 / 5) ** 2 / 3, kurtosis=9 / 5)
    assert 0.199 < np.abs(values).max() <= 0.2


def test_gelu_is_x_times_the_normal_distribution_function_and_so_is_its_derivative():
    x = np.linspace(-9, 9, 1001, dtype=np.float32)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(gelu(jnp.asarray(x)), wide * norm.cdf(wide), rtol=1e-6, atol=2e-6)
    slopes = jax.vmap(jax.grad(gelu))(x)
    np.testing.assert_allclose(slopes, norm.cdf(wide) + wide * norm.pdf(wide), rtol=1e-6, atol=1e-6)


def test_gelu_of_bfloat16_is_computed_in_float32():
    x = jnp.linspace(-4, 4, 101, dtype=jnp.bfloat16)
    assert gelu(x).dtype == jnp.bfloat16
    np.testing.assert_array_equal(gelu(x), gelu(x.astype(jnp.float32)).astype(jnp.bfloat16))


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_what_is_materialised_keeps_its_values_and_derivatives_of_both_modes(platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    x, power = jnp.arange(1.0, 4.0), jax.vmap(lambda v: materialised(v) ** 3)
    np.testing.assert_array_equal(power(x), x**3)
    curvature = jax.jvp(jax.grad(lambda v: power(v).sum()), (x,), (jnp.ones(3),))[1]
    np.testing.assert_allclose(curvature, 6 * x, rtol=1e-6)


def _draw(model, inputs, *path):
    """The parameters under ``path``; the compiler leaves out all the others."""

    def subtree(key):
        params = model.init(key, inputs)[0]
        for name in path:
            params = params[name]
        return params

    return jax.jit(subtree)(KEY)


def test_families_use_the_initialisation_of_torchvision():
    images = jnp.zeros((1, 16, 16, 3))
    vgg = _draw(create_encoder("vgg11", width=0.5, num_stages=2), images, "stage2", "conv1")
    _assert_moments(vgg["kernel"], 2 / (9 * 64), kurtosis=3)
    assert not np.any(vgg["bias"])
    resnet = _draw(create_encoder("resnet20", normalisation="layer"), images, "stage3", "block2", "layer1")
    _assert_moments(resnet["conv"]["kernel"], 2 / (9 * 64), kurtosis=3)
    assert list(resnet["conv"]) == ["kernel"]
    assert np.all(resnet["norm"]["scale"] == 1)
    assert not np.any(resnet["norm"]["bias"])
    vit = create_encoder("vit_tiny", depth=1)
    _assert_moments(_draw(vit, images, "patches", "kernel"), 1 / (3 * 64) / 3, kurtosis=9 / 5)
    _assert_moments(_draw(vit, images, "block1", "attention", "output", "kernel"), 0.02**2, kurtosis=3)
    _assert_moments(_draw(vit, images, "position"), 0.02**2, kurtosis=3)


def test_linear_layers_default_to_pytorchs_uniform():
    params = _draw(create_head("linear", num_classes=200), jnp.zeros((1, 64)), "output")
    _assert_moments(params["kernel"], 1 / 64 / 3, kurtosis=9 / 5)
    _assert_moments(params["bias"], 1 / 64 / 3, kurtosis=9 / 5)


def test_l2_normalise_is_tangent_to_the_sphere():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)
    np.testing.assert_allclose(jnp.linalg.norm(l2_normalise(x), axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(l2_normalise(7 * x), l2_normalise(x), rtol=1e-6)
    _, radial = jax.jvp(l2_normalise, (x,), (x,))
    np.testing.assert_allclose(radial, 0, atol=1e-6)


@pytest.mark.parametrize("tiny", [0.0, 1e-20, 1e-30])
def test_l2_normalise_is_safe_at_zero(tiny):
    value, gradient = jax.value_and_grad(lambda x: l2_normalise(x).sum())(jnp.full(3, tiny))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_width_scales_channels_and_leaves_at_least_one():
    assert [scale_width(64, w) for w in (1.0, 0.25, 0.001, 2.0)] == [64, 16, 1, 128]
