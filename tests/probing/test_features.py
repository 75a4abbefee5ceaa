"""Features of images: every image once, one program."""

import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.models import Model, Network, Pixels
from repcon_jax.probing import extract_features, pixel_features

PIXELS = Pixels((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
MEAN, STD = np.float32(PIXELS.mean), np.float32(PIXELS.std)


class Multiply:
    """Multiplies the flattened image by params and counts how often it is traced."""

    def __init__(self):
        self.traces = 0

    def __call__(self, params, model_state, images, train, intermediates):
        self.traces += 1
        assert train is intermediates is False
        return (images.reshape(images.shape[0], -1) @ params).astype(jnp.bfloat16), model_state


def no_init(key, images):
    return {}, {}


def encoder(apply, params):
    return Network(params, {}, Model(no_init, apply), PIXELS)


def random_images(number):
    return np.random.default_rng(0).integers(0, 256, (number, 4, 4, 3)).astype(np.uint8)


@pytest.mark.parametrize("number", [1, 5, 16, 19])
@pytest.mark.parametrize("where", [np.asarray, jnp.asarray])
def test_every_image_is_embedded_once_whatever_the_batch_size(number, where):
    images = random_images(number)
    features = extract_features(encoder(Multiply(), jnp.eye(48)[:, :7]), where(images), batch_size=8)
    assert features.dtype == jnp.float32
    expected = ((images / 255.0 - MEAN) / STD).reshape(number, -1)[:, :7]
    np.testing.assert_allclose(features, expected, rtol=2e-2, atol=1e-2)


def test_one_program_serves_all_batches_and_later_parameters():
    images, apply = random_images(19), Multiply()
    for scale in (1.0, 2.0):
        extract_features(encoder(apply, scale * jnp.eye(48)), images, batch_size=8)
    assert apply.traces == 1


def test_pixels_are_normalised_and_flattened():
    images = random_images(3)
    expected = ((images / 255.0 - MEAN) / STD).reshape(3, -1)
    np.testing.assert_allclose(pixel_features(images, PIXELS), expected, rtol=1e-5, atol=1e-6)
