"""The direct convolution is trilinear, and its three parts, in blocks and mapped, equal the library's derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from repcon_jax.models.kernels.direct_convolution import direct_convolution

CASES = [
    ((9, 8), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((9, 8), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((7, 10), (1, 1), (2, 2), ((0, 0), (0, 0))),
    ((11, 9), (7, 7), (2, 2), ((3, 3), (3, 3))),
    ((6, 7), (2, 3), (1, 2), ((0, 1), (2, 0))),
]


def _draw(*shapes):
    draw = np.random.default_rng(0)
    return [jnp.asarray(draw.normal(size=shape), jnp.float32) for shape in shapes]


def _both(strides, pads):
    ours = partial(direct_convolution, strides=strides, pads=pads)
    library = partial(
        lax.conv_general_dilated, window_strides=strides, padding=pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return ours, library


@pytest.mark.parametrize(("size", "window", "strides", "pads"), CASES)
@pytest.mark.parametrize("batch", [3, 16, 37])
def test_blocks_with_and_without_a_rest_have_the_librarys_derivatives(batch, size, window, strides, pads):
    operands = _draw((batch, *size, 3), (*window, 3, 4))
    ours, library = _both(strides, pads)
    (cotangent,) = _draw(jax.eval_shape(ours, *operands).shape)

    @jax.jit
    def run(images, kernel, cotangent):
        found, expected = (jax.vjp(function, images, kernel) for function in (ours, library))
        return (found[0], found[1](cotangent)), (expected[0], expected[1](cotangent))

    found, expected = run(*operands, cotangent)
    # The kernel's derivative sums over the batch and the pixels.
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-4), found, expected)


@pytest.mark.parametrize(("size", "window", "strides", "pads"), CASES)
def test_its_three_parts_are_one_trilinear_form(size, window, strides, pads):
    images, kernel = _draw((2, *size, 3), (*window, 3, 4))
    ours, _ = _both(strides, pads)
    maps, transpose = jax.vjp(ours, images, kernel)
    (cotangent,) = _draw(maps.shape)
    of_images, of_kernel = transpose(cotangent)
    total = jnp.vdot(cotangent, maps)
    np.testing.assert_allclose(jnp.vdot(of_images, images), total, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(jnp.vdot(of_kernel, kernel), total, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("size", "window", "strides", "pads"), CASES)
def test_derivatives_of_derivatives_equal_the_librarys(size, window, strides, pads):
    operands = _draw((2, *size, 2), (*window, 2, 3))
    directions = _draw(*(a.shape for a in operands))

    def derivatives(convolution):
        def loss(images, kernel):
            return jnp.sum(jnp.sin(convolution(images, kernel)))

        gradient = jax.grad(loss, (0, 1))
        _, forward_over_reverse = jax.jvp(gradient, operands, directions)
        reverse_over_reverse = jax.grad(lambda *a: sum(jnp.sum(jnp.cos(g)) for g in gradient(*a)), (0, 1))(*operands)
        return forward_over_reverse, reverse_over_reverse

    found, expected = jax.jit(lambda: tuple(map(derivatives, _both(strides, pads))))()
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), found, expected)


@pytest.mark.parametrize("axes", [(0, None), (None, 3), (1, 0)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_mapped_values_and_derivatives_equal_a_loop(axes, strides):
    ours, _ = _both(strides, ((1, 1), (1, 1)))

    def one(images, kernel):
        value, transpose = jax.vjp(ours, images, kernel)
        return value, transpose(jnp.cos(value))

    arrays = _draw((2, 6, 5, 3), (3, 3, 3, 4))
    stacked = [
        a if axis is None else jnp.stack([a * scale for scale in (1, 2, 3)], axis)
        for a, axis in zip(arrays, axes, strict=True)
    ]
    looped = [
        one(*(a if axis is None else jnp.take(a, i, axis) for a, axis in zip(stacked, axes, strict=True)))
        for i in range(3)
    ]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *looped)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), jax.vmap(one, axes)(*stacked), expected)


def test_sums_over_images_are_float32_whatever_the_type():
    images, kernel = (a.astype(jnp.bfloat16) for a in _draw((200, 4, 4, 3), (3, 3, 3, 4)))
    ours, _ = _both((1, 1), ((1, 1), (1, 1)))
    maps, transpose = jax.vjp(ours, images, kernel)
    found = transpose(jnp.ones_like(maps))[1]
    _, transpose = jax.vjp(ours, *(a.astype(jnp.float32) for a in (images, kernel)))
    exact = transpose(jnp.ones(maps.shape))[1]
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=2**-8, atol=1e-3)
