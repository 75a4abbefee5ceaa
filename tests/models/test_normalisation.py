"""Normalisation layers against NumPy and PyTorch's documented update of the running statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ArgumentError
from repcon_jax.models.normalisation import Normalise, batch_norm

IMAGES = np.random.default_rng(0).normal(3.0, 2.0, (4, 5, 3, 16)).astype(np.float32)


def _apply(kind, inputs, train, state=None, parts=1):
    layer = Normalise(kind, batch_norm_parts=parts)
    variables = layer.init(jax.random.key(0), jnp.asarray(inputs), False)
    stats = variables.get("batch_stats", {}) if state is None else state
    variables = {"params": variables.get("params", {}), "batch_stats": stats}
    output, updated = layer.apply(variables, jnp.asarray(inputs), train, mutable=["batch_stats"])
    return np.asarray(output), updated.get("batch_stats", {})


def test_batch_norm_uses_the_batch_in_training():
    output, _ = _apply("batch", IMAGES, train=True)
    mean, var = IMAGES.mean((0, 1, 2)), IMAGES.var((0, 1, 2))
    np.testing.assert_allclose(output, (IMAGES - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)


def test_running_statistics_follow_pytorch():
    first, second = IMAGES, IMAGES[::-1] * 0.5 + 1
    _, state = _apply("batch", first, train=True)
    _, state = _apply("batch", second, train=True, state=state)
    mean, var = np.zeros(16), np.ones(16)
    for x in (first, second):
        mean = 0.9 * mean + 0.1 * x.mean((0, 1, 2))
        var = 0.9 * var + 0.1 * x.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(state["mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(state["var"], var, rtol=1e-5)


def test_evaluation_uses_the_running_statistics_and_leaves_them():
    state = {"mean": jnp.full(16, 2.0), "var": jnp.full(16, 9.0)}
    output, after = _apply("batch", IMAGES, train=False, state=state)
    np.testing.assert_allclose(output, (IMAGES - 2) / np.sqrt(9 + 1e-5), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after["var"], state["var"])


@pytest.mark.parametrize(("images", "parts"), [(IMAGES, 1), (IMAGES, 2), (IMAGES, 4), (IMAGES[:, 0, 0], 2)])
def test_parts_of_a_batch_have_statistics_of_their_own(images, parts):
    output, state = _apply("batch", images, train=True, parts=parts)
    split, axes = np.split(images, parts), tuple(range(images.ndim - 1))
    expected = [(x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5) for x in split]
    np.testing.assert_allclose(output, np.concatenate(expected), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state["mean"], 0.1 * np.mean([x.mean(axes) for x in split], 0), rtol=1e-5)
    np.testing.assert_allclose(state["var"], 0.9 + 0.1 * np.mean([x.var(axes, ddof=1) for x in split], 0), rtol=1e-5)


def test_evaluation_knows_no_parts():
    output, _ = _apply("batch", IMAGES, train=False, parts=3)
    np.testing.assert_array_equal(output, _apply("batch", IMAGES, train=False)[0])


def test_a_batch_that_has_no_equal_parts_is_refused():
    with pytest.raises(ArgumentError, match=r"batch_norm_parts is 3 but the batch has 4 images"):
        _apply("batch", IMAGES, train=True, parts=3)


def test_fresh_batch_norm_divides_by_the_root_of_one_plus_epsilon():
    output, _ = _apply("batch", IMAGES, train=False)
    np.testing.assert_allclose(output, IMAGES / np.sqrt(1 + 1e-5), rtol=1e-6)


@pytest.mark.parametrize(("kind", "groups"), [("instance", 16), ("group", 8), ("group_of_8", 2), ("layer", 1)])
def test_groups_have_mean_zero_and_variance_one_per_image(kind, groups):
    output, state = _apply(kind, IMAGES, train=True)
    grouped = IMAGES.reshape(4, 15, groups, -1)
    mean, var = grouped.mean((1, 3), keepdims=True), grouped.var((1, 3), keepdims=True)
    np.testing.assert_allclose(output.reshape(grouped.shape), (grouped - mean) / np.sqrt(var + 1e-5), atol=1e-4)
    assert state == {}


def test_none_is_the_identity():
    np.testing.assert_array_equal(_apply("none", IMAGES, train=True)[0], IMAGES)


def test_vectors_are_normalised_too():
    vectors = IMAGES[:, 0, 0]
    output, _ = _apply("layer", vectors, train=True)
    np.testing.assert_allclose(output.mean(1), 0, atol=1e-6)


@pytest.mark.parametrize("kind", ["group", "group_of_8"])
def test_channels_that_cannot_be_grouped_are_refused(kind):
    with pytest.raises(ArgumentError, match=r"12 channels.*multiple of 8"):
        _apply(kind, IMAGES[..., :12], train=True)


def test_instance_norm_of_a_single_pixel_is_refused():
    with pytest.raises(ArgumentError, match="single pixel"):
        _apply("instance", IMAGES[:, :1, :1], train=True)


def _batch_norm_by_definition(parts, scale, bias):
    axes = tuple(range(1, parts.ndim - 1))
    mean, var = parts.mean(axes, keepdims=True), parts.var(axes, keepdims=True)
    return (parts - mean) / jnp.sqrt(var + 1e-5) * scale + bias, mean, var


@pytest.mark.parametrize("shape", [(1, 4, 5, 3, 16), (2, 2, 5, 3, 16), (2, 8, 16)])
def test_the_closed_derivative_of_batch_norm_is_that_of_its_definition(shape):
    draw = np.random.default_rng(1)
    parts = jnp.asarray(draw.normal(3.0, 2.0, shape), jnp.float32)
    scale, bias = (jnp.asarray(draw.normal(size=16), jnp.float32) for _ in range(2))
    tangents = tuple(jnp.asarray(draw.normal(size=a.shape), jnp.float32) for a in (parts, scale, bias))

    @jax.jit
    def both_modes(parts, scale, bias, tangents):
        def derivatives(function):
            _, forward = jax.jvp(function, (parts, scale, bias), tangents)
            values, transpose = jax.vjp(function, parts, scale, bias)
            return values, forward, transpose(jax.tree.map(jnp.cos, values))

        return derivatives(batch_norm), derivatives(_batch_norm_by_definition)

    found, expected = both_modes(parts, scale, bias, tangents)
    jax.tree.map(lambda f, e: np.testing.assert_allclose(f, e, rtol=1e-4, atol=1e-4), found, expected)


def test_a_mean_of_a_hundred_standard_deviations_costs_little_precision():
    draw = np.random.default_rng(2)
    parts = jnp.asarray(draw.normal(300.0, 3.0, (1, 64, 8, 8, 16)), jnp.float32)
    cotangent = jnp.asarray(draw.normal(size=parts.shape), jnp.float32)
    scale, bias = jnp.ones(16), jnp.zeros(16)

    def run(function, dtype):
        given = [a.astype(dtype) for a in (parts, scale, bias)]
        value, transpose = jax.vjp(lambda *a: function(*a)[0], *given)
        return value, transpose(cotangent.astype(dtype))

    with jax.enable_x64(True):
        exact = run(_batch_norm_by_definition, jnp.float64)
    jax.tree.map(
        lambda f, e: np.testing.assert_allclose(f, e, atol=1e-4 * np.abs(e).max()), run(batch_norm, jnp.float32), exact
    )
