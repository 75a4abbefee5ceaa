import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

from repcon_jax.data import channel_statistics, resize, to_rgb
from repcon_jax.data.resampling import resampling_weights
from repcon_jax.errors import ArgumentError, DataError


def test_statistics_equal_numpys(tiny):
    mean, std = channel_statistics(tiny)
    pixels = tiny.images.astype(np.float64) / 255
    assert np.array_equal(mean, pixels.mean((0, 1, 2)).astype(np.float32))
    assert np.array_equal(std, pixels.std((0, 1, 2)).astype(np.float32))


def test_statistics_of_many_bright_pixels_do_not_overflow(tiny):
    images = np.full((3000, 32, 32, 1), 255, np.uint8)
    images[::2] = 253
    labels = np.zeros(3000, np.int32)
    mean, std = channel_statistics(dataclasses.replace(tiny, images=images, labels=labels))
    assert mean[0] == np.float32(254 / 255)
    assert std[0] == np.float32(1 / 255)


def test_statistics_of_nothing(tiny):
    empty = dataclasses.replace(tiny, images=tiny.images[:0], labels=tiny.labels[:0])
    with pytest.raises(DataError, match="is empty"):
        channel_statistics(empty)


def test_to_rgb(tiny):
    grey = dataclasses.replace(tiny, images=tiny.images[..., :1])
    assert np.array_equal(to_rgb(grey).images, np.repeat(tiny.images[..., :1], 3, -1))
    assert to_rgb(tiny) is tiny
    with pytest.raises(DataError, match="2 channels"):
        to_rgb(dataclasses.replace(tiny, images=tiny.images[..., :2]))


@pytest.mark.parametrize("size", [3, 4, 9, 12])
def test_bilinear_equals_pil(tiny, size):
    resized = resize(tiny, size, "bilinear").images
    pil = [Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in tiny.images]
    # PIL rounds once more between the two axes.
    assert np.abs(resized.astype(int) - np.stack([np.asarray(image) for image in pil])).max() <= 1


@pytest.mark.parametrize("size", [3, 4, 12])
def test_nearest_equals_pil(tiny, size):
    pil = [Image.fromarray(image).resize((size, size), Image.Resampling.NEAREST) for image in tiny.images]
    assert np.array_equal(resize(tiny, size, "nearest").images, np.stack([np.asarray(image) for image in pil]))


def test_pad_keeps_every_pixel(tiny):
    padded = resize(tiny, 9, "pad").images
    assert np.array_equal(padded[:, 1:7, 1:7], tiny.images)
    assert padded.sum() == tiny.images.sum()


def test_resize_to_rectangles_and_itself(tiny):
    oblong = dataclasses.replace(tiny, images=tiny.images[:, :4])
    assert resize(oblong, 6).images.shape == (30, 6, 6, 3)
    assert resize(tiny, 6) is tiny


def test_resize_errors(tiny):
    with pytest.raises(DataError, match="can't shrink"):
        resize(tiny, 5, "pad")
    with pytest.raises(ArgumentError, match=r"size is .* at least 1"):
        resize(tiny, 0)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("length", "size", "start", "extent"), [(8, 8, 0, 8), (8, 3, 0, 8), (9, 4, 2, 5), (7, 9, 6, 1)]
)
def test_weights(length, size, start, extent, antialias):
    weigh = jax.jit(resampling_weights, static_argnums=(0, 1, 4))
    weights = np.asarray(weigh(length, size, float(start), float(extent), antialias))
    assert np.allclose(weights.sum(1), 1)
    assert (weights >= 0).all()
    inside = (np.arange(length) >= start) & (np.arange(length) < start + extent)
    assert (weights[:, ~inside] == 0).all()
    if length == size:
        assert np.array_equal(weights, np.eye(length))
