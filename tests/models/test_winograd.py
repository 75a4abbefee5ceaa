"""Winograd convolution equals the library's, with its derivatives, and rounds nearly as finely as a direct product."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from repcon_jax.models.kernels import winograd
from repcon_jax.models.kernels.convolution import cpu_convolution
from repcon_jax.models.kernels.winograd import tile_size, transforms, winograd_convolution

SAME = ((1, 1), (1, 1))


def _operands(batch, height, width, channels, features, seed=0):
    draw = np.random.default_rng(seed)
    images = np.maximum(draw.normal(size=(batch, height, width, channels)), 0)
    kernel = draw.normal(size=(3, 3, channels, features)) * np.sqrt(2 / (9 * channels))
    return jnp.asarray(images, jnp.float32), jnp.asarray(kernel, jnp.float32)


def _value_and_derivatives(convolution, images, kernel):
    def scalar(images, kernel):
        output = convolution(images, kernel)
        weight = jnp.cos(jnp.arange(output.size, dtype=output.dtype)).reshape(output.shape)
        return jnp.sum(weight * output), output

    return jax.value_and_grad(scalar, (0, 1), has_aux=True)(images, kernel)


def _library(pads=SAME):
    return partial(
        lax.conv_general_dilated, window_strides=(1, 1), padding=pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("tile", [2, 4])
def test_the_transforms_are_those_of_a_correlation_in_one_dimension(tile):
    a, g, b = transforms(tile)
    image, kernel = np.random.default_rng(0).normal(size=tile + 2), np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(a @ ((g @ kernel) * (b @ image)), np.correlate(image, kernel), rtol=1e-12, atol=1e-12)


# Maps of 2x2, odd maps, no padding, uneven padding, no images; the third has tiles of 2 because of its channels.
@pytest.mark.parametrize(
    ("shape", "pads"),
    [
        ((2, 2, 2, 5), SAME),
        ((3, 7, 5, 4), SAME),
        ((2, 5, 6, 516), ((0, 0), (0, 0))),
        ((2, 4, 6, 3), ((0, 2), (3, 1))),
        ((0, 4, 4, 3), SAME),
    ],
)
def test_values_and_derivatives_equal_the_library_convolution(shape, pads):
    operands = _operands(*shape, 4)
    ours = partial(winograd_convolution, pads=pads)
    result, expected = jax.jit(lambda: [_value_and_derivatives(c, *operands) for c in (ours, _library(pads))])()
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), result, expected)


def test_blocks_of_images_give_what_one_block_gives(monkeypatch):
    operands = _operands(5, 6, 6, 3, 4)

    def run():
        # A new function, because a compiled one would keep the size of its blocks.
        convolution = partial(winograd_convolution, pads=SAME)
        return jax.jit(lambda *operands: _value_and_derivatives(convolution, *operands))(*operands)

    expected = run()
    monkeypatch.setattr(winograd, "_BLOCK_FLOATS", 2 * 36 * 4 * 3)  # two images a block, and one is left over
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), run(), expected)


# Vectors of kernels with and without images: members of a population with their own activations or shared images.
@pytest.mark.parametrize("image_axis", [None, 0])
def test_vmap_over_kernels_is_a_loop_over_kernels(image_axis, monkeypatch):
    monkeypatch.setattr(winograd, "_BLOCK_FLOATS", 2 * 36 * 4 * 3)
    pairs = [_operands(4, 5, 6, 3, 2, seed) for seed in range(2)]
    kernels = jnp.stack([k for _, k in pairs])
    images = pairs[0][0] if image_axis is None else jnp.stack([i for i, _ in pairs])
    run = partial(_value_and_derivatives, partial(winograd_convolution, pads=SAME))
    result = jax.jit(jax.vmap(run, (image_axis, 0)))(images, kernels)
    for i, kernel in enumerate(kernels):
        expected = _value_and_derivatives(_library(), images if image_axis is None else images[i], kernel)
        found = jax.tree.map(lambda leaf, i=i: leaf[i], result)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), found, expected)


def _float64(images, kernel, cotangent):
    x, k, dy = (np.asarray(a, np.float64) for a in (images, kernel, cotangent))

    def shifts(maps):
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return [padded[:, a : a + maps.shape[1], b : b + maps.shape[2]] for a in range(3) for b in range(3)]

    values = sum(s @ m for s, m in zip(shifts(x), k.reshape(9, *k.shape[2:]), strict=True))
    mirrored = k[::-1, ::-1].swapaxes(2, 3).reshape(9, k.shape[3], k.shape[2])
    dx = sum(s @ m for s, m in zip(shifts(dy), mirrored, strict=True))
    dk = np.stack([np.tensordot(s, dy, ((0, 1, 2), (0, 1, 2))) for s in shifts(x)]).reshape(k.shape)
    return values, dx, dk


# The error of the direct product is about 3e-7, that of PyTorch's on a CPU up to 1.1e-6; tiles of 2 stay near the
# former, tiles of 4 within these factors of it for values, derivatives by images and derivatives by kernels. A shape
# that needs larger ones belongs into tile_size.
@pytest.mark.parametrize(
    ("channels", "features", "side", "tile"),
    [(64, 64, 8, 4), (256, 256, 8, 4), (512, 512, 4, 4), (64, 1024, 4, 2), (1024, 64, 4, 2), (512, 512, 2, 2)],
)
def test_the_error_is_a_small_multiple_of_that_of_a_direct_product(channels, features, side, tile):
    images, kernel = _operands(4, side, side, channels, features)
    cotangent = jnp.asarray(np.random.default_rng(1).normal(size=(4, side, side, features)), jnp.float32)
    exact = _float64(images, kernel, cotangent)

    @partial(jax.jit, static_argnums=0)
    def run(convolution, images, kernel, cotangent):
        values, transpose = jax.vjp(convolution, images, kernel)
        return values, *transpose(cotangent)

    def errors(convolution):
        found = run(convolution, images, kernel, cotangent)
        return [np.linalg.norm(f - e) / np.linalg.norm(e) for f, e in zip(found, exact, strict=True)]

    assert tile_size(side, side, max(channels, features)) == tile
    ours = errors(partial(winograd_convolution, pads=SAME))
    direct = errors(partial(cpu_convolution, window_strides=(1, 1), padding="SAME"))
    factor = {2: 3.0, 4: 8.0}[tile]
    assert max(ours) < {2: 1e-6, 4: 2.5e-6}[tile]
    assert all(w < factor * d for w, d in zip(ours, direct, strict=True)), (ours, direct)


def test_bfloat16_is_computed_in_float32():
    images, kernel = (a.astype(jnp.bfloat16) for a in _operands(2, 4, 4, 32, 8))
    found = winograd_convolution(images, kernel, SAME)
    exact = _library()(images.astype(jnp.float32), kernel.astype(jnp.float32))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=2**-8, atol=1e-5)
