import colorsys
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import correlate1d

from repcon_jax.data import AUGMENTATIONS
from repcon_jax.data.augmentations.random_resized_crop import _largest
from repcon_jax.data.colours import luminance, shift_hue
from repcon_jax.errors import ArgumentError, ConfigError

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(jax.random.key(1), (16, 8, 8, 3))
REQUIRED = {"random_resized_crop": {"size": 5}, "resize": {"size": 5}}
ALWAYS = {
    "flip": {"probability": 1.0},
    "padded_crop": {"padding": 2},
    "random_resized_crop": {"size": 8},
    "colour_jitter": {"probability": 1.0},
    "grey": {"probability": 1.0},
    "blur": {"probability": 1.0},
    "solarise": {"probability": 1.0},
    "resize": {"size": 6},
}


def build(name, **options):
    return jax.jit(AUGMENTATIONS.build(name, **options))


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_range_shape_and_repeatability(name):
    augment = build(name, **REQUIRED.get(name, {}))
    augmented = augment(KEY, IMAGES)
    size = REQUIRED.get(name, {}).get("size", 8)
    assert augmented.shape == (16, size, size, 3)
    assert augmented.dtype == jnp.float32
    assert augmented.min() >= -1e-6
    assert augmented.max() <= 1 + 1e-6
    assert np.array_equal(augmented, augment(KEY, IMAGES))
    assert not np.array_equal(augmented, augment(jax.random.key(9), IMAGES)) or name == "resize"


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_works_on_grey_images_and_over_keys(name):
    augment = build(name, **ALWAYS[name])
    size = ALWAYS[name].get("size", 8)
    views = jax.jit(jax.vmap(augment, (0, None)))(jax.random.split(KEY, 3), IMAGES[..., :1])
    assert views.shape == (3, 16, size, size, 1)


@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS.names()) - {"flip", "grey", "solarise", "resize"}))
def test_every_image_draws_its_own(name):
    same = jnp.broadcast_to(IMAGES[:1], IMAGES.shape)
    augmented = build(name, **ALWAYS[name])(KEY, same)
    assert len({image.tobytes() for image in np.asarray(augmented)}) > 8


@pytest.mark.parametrize("name", ["flip", "grey", "solarise", "blur", "colour_jitter"])
def test_probability(name):
    assert np.array_equal(build(name, probability=0.0)(KEY, IMAGES), IMAGES)
    many = jnp.broadcast_to(IMAGES[:1], (2000, 8, 8, 3))
    changed = (build(name, probability=0.3)(KEY, many) != many).any((1, 2, 3))
    assert abs(changed.mean() - 0.3) < 0.04


def test_flip_twice_is_the_identity():
    flip = build("flip", probability=1.0)
    assert np.array_equal(flip(KEY, IMAGES), IMAGES[:, :, ::-1])
    assert np.array_equal(flip(KEY, flip(KEY, IMAGES)), IMAGES)


def test_padded_crop_is_a_shift_with_black_edges():
    cropped = build("padded_crop", padding=2)(KEY, IMAGES)
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)))
    for image, crop in zip(padded, np.asarray(cropped), strict=True):
        places = [(i, j) for i in range(5) for j in range(5) if np.array_equal(image[i : i + 8, j : j + 8], crop)]
        assert len(places) == 1


def test_padded_crop_reaches_every_place_equally_often():
    point = jnp.zeros((4000, 5, 5, 1)).at[:, 2, 2].set(1.0)
    hits = build("padded_crop", padding=1)(KEY, point).sum(0)[..., 0]
    assert np.abs(hits[1:4, 1:4] / 4000 - 1 / 9).max() < 0.02
    assert hits.sum() == 4000
    assert np.array_equal(build("padded_crop", padding=0)(KEY, IMAGES), IMAGES)


def test_full_crop_is_the_identity():
    crop = build("random_resized_crop", size=8, min_scale=1.0, max_scale=1.0, min_ratio=1.0, max_ratio=1.0)
    assert np.array_equal(crop(KEY, IMAGES), IMAGES)


def test_crop_of_a_constant_is_constant():
    constant = jnp.full((50, 9, 7, 3), 0.3)
    assert np.allclose(build("random_resized_crop", size=6)(KEY, constant), 0.3, atol=1e-6)


def crops_of_coordinates(**options):
    """Extent and place of 3000 crops of a 32x32 image, read off from crops of an image of coordinates."""
    row, column = jnp.meshgrid(jnp.arange(32.0), jnp.arange(32.0), indexing="ij")
    images = jnp.broadcast_to(jnp.stack([row, column, row], -1), (3000, 32, 32, 3))
    crops = build("random_resized_crop", size=64, antialias=False, **options)(KEY, images)
    lows, highs = crops.min((1, 2)), crops.max((1, 2))
    return np.asarray(highs - lows)[:, :2] + 1, np.asarray(lows)[:, :2]


def test_crops_keep_area_and_ratio_within_bounds():
    extent, start = crops_of_coordinates(min_scale=0.2, max_scale=0.5)
    assert np.allclose(extent, np.round(extent), atol=1e-4)
    assert (start >= 0).all()
    assert (start + extent <= 32 + 1e-4).all()
    area = extent.prod(1) / 32**2
    assert 0.17 < area.min() < 0.23
    assert 0.47 < area.max() < 0.54
    assert area.mean() == pytest.approx(0.35, abs=0.01)
    log_ratio = np.log(extent[:, 1] / extent[:, 0])
    assert np.abs(log_ratio).max() < math.log(4 / 3) + 0.1
    assert log_ratio.mean() == pytest.approx(0, abs=0.02)


def test_crop_places_are_uniform():
    extent, start = crops_of_coordinates(min_scale=0.25, max_scale=0.25, min_ratio=1.0, max_ratio=1.0)
    assert np.allclose(extent, 16, atol=1e-4)
    counts = np.bincount(np.round(start[:, 0]).astype(int), minlength=17) / 3000
    assert np.abs(counts - 1 / 17).max() < 0.02


def test_crop_that_never_fits_is_the_largest_central_one():
    tall = jnp.broadcast_to(jnp.arange(40.0)[None, :, None, None], (4, 40, 8, 1))
    crop = build("random_resized_crop", size=8, min_scale=1.0, max_scale=1.0)(KEY, tall)
    assert _largest(40, 8, 3 / 4, 4 / 3) == (11, 8)
    assert np.allclose(crop.mean((1, 2, 3)), 14 + 5, atol=1e-4)
    assert _largest(8, 40, 3 / 4, 4 / 3) == (8, 11)
    assert _largest(8, 9, 3 / 4, 4 / 3) == (8, 9)


@pytest.mark.parametrize("size", [4, 5, 8, 13])
def test_resize_equals_pil(size):
    resized = build("resize", size=size)(KEY, IMAGES[..., :1])
    pil = [
        Image.fromarray(np.asarray(image)[..., 0]).resize((size, size), Image.Resampling.BILINEAR) for image in IMAGES
    ]
    assert np.allclose(resized[..., 0], np.stack([np.asarray(image) for image in pil]), atol=1e-5)


def test_grey_equals_pil():
    pixels = np.asarray(jnp.round(IMAGES * 255)).astype(np.uint8)
    grey = build("grey", probability=1.0)(KEY, jnp.asarray(pixels) / 255)
    pil = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in pixels])
    assert np.array_equal(grey[..., 0], grey[..., 2])
    assert np.abs(grey[..., 0] * 255 - pil).max() < 1


def test_hue_equals_colorsys():
    turns = jax.random.uniform(KEY, (16, 1, 1), minval=-0.5, maxval=0.5)
    shifted = np.asarray(shift_hue(IMAGES, turns))
    for image, turn, result in zip(np.asarray(IMAGES), np.asarray(turns).ravel(), shifted, strict=True):
        for pixel, expected in zip(image.reshape(-1, 3), result.reshape(-1, 3), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel.tolist())
            assert np.allclose(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), expected, atol=1e-4)


def test_hue_leaves_greys_alone_and_a_full_turn_returns():
    grey = jnp.broadcast_to(IMAGES[..., :1], IMAGES.shape)
    assert np.allclose(shift_hue(grey, jnp.full((16, 1, 1), 0.3)), grey, atol=1e-6)
    assert np.allclose(shift_hue(IMAGES, jnp.ones((16, 1, 1))), IMAGES, atol=1e-5)


def jitter(images=IMAGES, **strengths):
    none = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    return build("colour_jitter", **{**none, **strengths}, probability=1.0)(KEY, images)


def test_jitter_without_strength_is_the_identity():
    assert np.array_equal(jitter(), IMAGES)


def test_brightness_is_one_factor_per_image_within_bounds():
    dim = 0.3 + 0.2 * IMAGES
    factors = jitter(dim, brightness=0.5) / dim
    assert np.allclose(factors, factors[:, :1, :1, :1], atol=1e-5)
    assert factors.min() >= 0.5 - 1e-5
    assert factors.max() <= 1.5 + 1e-5


def test_contrast_keeps_the_mean_luminance_and_saturation_every_pixels():
    middle = 0.4 + 0.2 * IMAGES
    contrast, saturation = jitter(middle, contrast=0.5), jitter(middle, saturation=0.5)
    assert np.allclose(luminance(contrast).mean((1, 2)), luminance(middle).mean((1, 2)), atol=1e-4)
    assert np.allclose(luminance(saturation), luminance(middle), atol=1e-4)


def test_blur_equals_scipy():
    blurred = build("blur", probability=1.0, min_sigma=1.3, max_sigma=1.3, kernel_size=7)(KEY, IMAGES)
    kernel = np.exp(-0.5 * (np.arange(-3, 4) / 1.3) ** 2)
    kernel /= kernel.sum()
    expected = correlate1d(correlate1d(np.asarray(IMAGES), kernel, 1, mode="mirror"), kernel, 2, mode="mirror")
    assert np.allclose(blurred, expected, atol=1e-6)


def test_blur_of_a_constant_is_constant_and_of_width_one_the_identity():
    assert np.allclose(build("blur", probability=1.0)(KEY, jnp.full((4, 8, 8, 3), 0.7)), 0.7, atol=1e-6)
    assert np.allclose(build("blur", probability=1.0, kernel_size=1)(KEY, IMAGES), IMAGES, atol=1e-6)


def test_blur_kernel_has_to_fit():
    with pytest.raises(ArgumentError, match=r"kernel_size is 7 .* below 6"):
        build("blur", kernel_size=7)(KEY, jnp.zeros((1, 3, 8, 1)))


def test_solarise_inverts_the_bright_pixels():
    solarised = build("solarise", probability=1.0, threshold=0.6)(KEY, IMAGES)
    assert np.array_equal(solarised, np.where(IMAGES >= 0.6, 1 - IMAGES, IMAGES))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("flip", {"probability": 1.5}),
        ("padded_crop", {"padding": -1}),
        ("random_resized_crop", {"size": 0}),
        ("random_resized_crop", {"size": 4, "max_scale": 1.5}),
        ("random_resized_crop", {"size": 4, "min_scale": 0.5, "max_scale": 0.2}),
        ("random_resized_crop", {"size": 4, "min_ratio": 0.0}),
        ("random_resized_crop", {"size": 4, "min_ratio": 2.0}),
        ("colour_jitter", {"hue": 0.6}),
        ("colour_jitter", {"contrast": -0.1}),
        ("grey", {"probability": -0.1}),
        ("blur", {"kernel_size": 4}),
        ("blur", {"min_sigma": 0.0}),
        ("blur", {"min_sigma": 3.0}),
        ("solarise", {"threshold": 2.0}),
        ("resize", {"size": 0}),
    ],
)
def test_options_out_of_range(name, options):
    with pytest.raises(ConfigError, match=r"augmentation\.\w+ is .* must "):
        build(name, **options)
