"""Heads against NumPy, over every combination of the bottleneck's options."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from repcon_jax.models import create_head

EMBEDDING = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
HALVES = ("bottleneck_weight_normalisation", "bottleneck_bias", "feature_normalisation")
OUTPUTS = ("weight_normalisation", "output_bias", "output_feature_normalisation")


def _unit(x, axis):
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def _half(x, layer, weight_normalisation, feature_normalisation):
    if layer:
        kernel = np.asarray(layer["kernel"])
        x = x @ (_unit(kernel, 0) if weight_normalisation else kernel) + np.asarray(layer.get("bias", 0))
    return _unit(x, -1) if feature_normalisation else x


def _random_like(params):
    leaves, structure = jax.tree.flatten(params)
    draw = np.random.default_rng(2)
    return structure.unflatten([jnp.asarray(draw.normal(size=leaf.shape), jnp.float32) for leaf in leaves])


def _cases():
    for switches in itertools.product([False, True], repeat=3):
        for sizes in ((4, 6), (None, 6), (4, None)):
            # The two halves get opposite switches: two layers in every state without 64 compilations a size.
            yield (
                dict(zip(HALVES, switches, strict=True))
                | {key: not value for key, value in zip(OUTPUTS, switches, strict=True)}
                | {"bottleneck_size": sizes[0], "output_size": sizes[1]}
            )


@pytest.mark.parametrize("options", list(_cases()))
def test_projector_equals_numpy_for_every_ablation(options):
    head = create_head("projector", hidden_sizes=(7,), **options)
    params = _random_like(jax.eval_shape(head.init, jax.random.key(0), jnp.asarray(EMBEDDING))[0])
    # Not jitted: the cases share their shapes and so nearly all operations, each compiled once.
    logits, state = head.apply(params, {}, jnp.asarray(EMBEDDING))

    x = EMBEDDING @ params["hidden1"]["kernel"] + params["hidden1"]["bias"]
    x = x * 0.5 * (1 + erf(x / np.sqrt(2)))
    first, second = (params.get(half, {}).get("linear", {}) for half in ("bottleneck", "output"))
    assert ("bias" in first) == (options["bottleneck_bias"] and options["bottleneck_size"] is not None)
    assert ("bias" in second) == (options["output_bias"] and options["output_size"] is not None)
    x = _half(x, first, options["bottleneck_weight_normalisation"], options["feature_normalisation"])
    x = _half(x, second, options["weight_normalisation"], options["output_feature_normalisation"])
    np.testing.assert_allclose(logits, x, rtol=1e-4, atol=1e-5)
    assert state == {}


def test_defaults_are_the_papers_projector():
    head = create_head("projector")
    params, _ = jax.eval_shape(head.init, jax.random.key(0), jnp.zeros((1, 512)))
    assert jax.tree.map(lambda leaf: leaf.shape, params) == {
        "hidden1": {"kernel": (512, 2048), "bias": (2048,)},
        "hidden2": {"kernel": (2048, 2048), "bias": (2048,)},
        "bottleneck": {"linear": {"kernel": (2048, 256), "bias": (256,)}},
        "output": {"linear": {"kernel": (256, 65536)}},
    }


def test_logits_are_cosines_that_ignore_the_kernels_scale():
    head = create_head("projector", hidden_sizes=(), bottleneck_size=4, output_size=6)
    params, _ = head.init(jax.random.key(0), jnp.asarray(EMBEDDING))
    logits, _ = head.apply(params, {}, jnp.asarray(EMBEDDING))
    params["output"]["linear"]["kernel"] *= jnp.arange(1.0, 7)
    np.testing.assert_allclose(head.apply(params, {}, jnp.asarray(EMBEDDING))[0], logits, atol=1e-6)
    assert np.abs(logits).max() <= 1


def test_a_zero_embedding_has_finite_gradients():
    head = create_head("projector", hidden_sizes=(4,), bottleneck_size=4, output_size=6)
    params, _ = head.init(jax.random.key(0), jnp.zeros((1, 5)))
    gradients = jax.grad(lambda p, x: head.apply(p, {}, x)[0].sum(), (0, 1))(params, jnp.zeros((1, 5)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_projector_is_drawn_from_a_normal_of_standard_deviation_two_hundredths():
    head = create_head("projector", hidden_sizes=(200,), bottleneck_size=300, output_size=100)
    params, _ = jax.jit(head.init)(jax.random.key(3), jnp.zeros((1, 100)))
    kernels = [params["hidden1"]["kernel"], *[params[h]["linear"]["kernel"] for h in ("bottleneck", "output")]]
    for kernel in kernels:
        # Five standard errors of the mean and of the standard deviation; the fourth moment tells a normal apart.
        assert abs(kernel.mean()) < 5 * 0.02 / np.sqrt(kernel.size)
        assert abs(kernel.std() / 0.02 - 1) < 5 / np.sqrt(2 * kernel.size)
        assert abs((kernel**4).mean() / 0.02**4 - 3) < 5 * np.sqrt(96 / kernel.size)
    assert not np.any(params["hidden1"]["bias"])
    assert not np.any(params["bottleneck"]["linear"]["bias"])


def test_bfloat16_projector_keeps_float32_logits_of_unit_features():
    head = create_head("projector", hidden_sizes=(4,), bottleneck_size=4, output_size=6, dtype="bfloat16")
    params, _ = head.init(jax.random.key(0), jnp.asarray(EMBEDDING))
    logits, _, features = head.apply(params, {}, jnp.asarray(EMBEDDING), False, True)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(jnp.linalg.norm(features["bottleneck"], axis=-1), 1, rtol=1e-6)


def test_linear_head_equals_its_formula():
    head = create_head("linear", num_classes=4)
    params, _ = head.init(jax.random.key(0), jnp.asarray(EMBEDDING))
    kernel, bias = params["output"]["kernel"], params["output"]["bias"]
    np.testing.assert_allclose(
        head.apply(params, {}, jnp.asarray(EMBEDDING))[0], EMBEDDING @ kernel + bias, rtol=1e-5, atol=1e-6
    )


def test_linear_head_can_start_at_zero_and_without_bias():
    head = create_head("linear", num_classes=4, bias=False, initialisation="zeros")
    params, _ = head.init(jax.random.key(0), jnp.asarray(EMBEDDING))
    assert list(params["output"]) == ["kernel"]
    assert not np.any(params["output"]["kernel"])


def test_the_identity_has_no_parameters_and_gives_what_it_is_given():
    head = create_head("identity")
    assert head.init(jax.random.key(0), jnp.asarray(EMBEDDING)) == ({}, {})
    logits, state, features = head.apply({}, {}, jnp.asarray(EMBEDDING), False, True)
    np.testing.assert_array_equal(logits, EMBEDDING)
    np.testing.assert_array_equal(features["logits"], EMBEDDING)
    assert state == {}
