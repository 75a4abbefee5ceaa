"""Cut out a random rectangle and resize it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation
from repcon_jax.data.resampling import resample, resampling_weights
from repcon_jax.errors import check_range
from repcon_jax.random import Key

_TRIES = 10


@AUGMENTATIONS.register("random_resized_crop")
def random_resized_crop(
    *,
    size: int,
    min_scale: float = 0.08,
    max_scale: float = 1.0,
    min_ratio: float = 3 / 4,
    max_ratio: float = 4 / 3,
    antialias: bool = True,
) -> Augmentation:
    """Cuts a random rectangle out of every image and resizes it to a square (torchvision's RandomResizedCrop).

    The area is uniform in [min_scale, max_scale] times the image's area A and the ratio r = width / height is
    log-uniform in [min_ratio, max_ratio]: width = round(sqrt(A r)), height = round(sqrt(A / r)), the place uniform.
    The first of ten draws that fits into the image is taken; if none does, the largest central rectangle whose
    ratio is within bounds.

    Args:
        size: side of the result in pixels.
        min_scale, max_scale: bounds of the area, as a fraction of the image.
        min_ratio, max_ratio: bounds of width / height.
        antialias: whether the bilinear filter widens where the crop shrinks, as PIL does.
    Raises:
        ArgumentError: a size or bound is out of range, or a minimum exceeds its maximum.
    """
    check_range("size", size, 1)
    check_range("max_scale", max_scale, 0, 1)
    check_range("min_scale", min_scale, 0, max_scale)
    check_range("max_ratio", max_ratio, 0)
    check_range("min_ratio", min_ratio, 0, max_ratio, open_low=True)

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b s s c"]:
        b, height, width, _ = images.shape
        draws = jax.random.uniform(key, (b, 2 * _TRIES + 2))
        area = height * width * (min_scale + (max_scale - min_scale) * draws[:, :_TRIES])
        ratio = min_ratio * (max_ratio / min_ratio) ** draws[:, _TRIES:-2]
        crop_height, crop_width, fits = _first_that_fits(area, ratio, height, width)
        largest_height, largest_width = _largest(height, width, min_ratio, max_ratio)
        crop_height = jnp.where(fits, crop_height, largest_height)
        crop_width = jnp.where(fits, crop_width, largest_width)
        top = _start(draws[:, -2], height - crop_height, fits)
        left = _start(draws[:, -1], width - crop_width, fits)
        rows = resampling_weights(height, size, top, crop_height, antialias)
        columns = resampling_weights(width, size, left, crop_width, antialias)
        return resample(images, rows, columns)

    return augment


def _first_that_fits(area: Array, ratio: Array, height: int, width: int) -> tuple[Array, Array, Array]:
    """Height and width of the first of the draws [b, tries] that fits, and whether one does, each [b]."""
    crop_height, crop_width = jnp.round(jnp.sqrt(area / ratio)), jnp.round(jnp.sqrt(area * ratio))
    fits = (crop_height >= 1) & (crop_height <= height) & (crop_width >= 1) & (crop_width <= width)
    first = jnp.argmax(fits, axis=1, keepdims=True)
    chosen = [jnp.take_along_axis(x, first, axis=1)[:, 0] for x in (crop_height, crop_width, fits)]
    return chosen[0], chosen[1], chosen[2]


def _largest(height: int, width: int, min_ratio: float, max_ratio: float) -> tuple[int, int]:
    """Height and width of the largest rectangle in the image whose ratio is within bounds."""
    if width / height < min_ratio:
        return max(round(width / min_ratio), 1), width
    if width / height > max_ratio:
        return height, max(round(height * max_ratio), 1)
    return height, width


def _start(draw: Array, room: Array, fits: Array) -> Array:
    """A whole number from 0 to ``room``, uniform as ``draw`` is in [0, 1); the middle for the fallback."""
    # Rounding may carry draw (room + 1) up to room + 1 itself.
    return jnp.where(fits, jnp.minimum(jnp.floor(draw * (room + 1)), room), jnp.round(room / 2))
