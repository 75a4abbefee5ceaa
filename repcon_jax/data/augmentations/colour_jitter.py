"""Change brightness, contrast, saturation and hue."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation
from repcon_jax.data.colours import luminance, shift_hue
from repcon_jax.errors import check_range
from repcon_jax.random import Key


@AUGMENTATIONS.register("colour_jitter")
def colour_jitter(
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
    probability: float = 0.8,
) -> Augmentation:
    """Changes brightness, contrast, saturation and hue, in this order, with a probability for the four together.

    A strength s draws a factor f uniformly from [max(0, 1 - s), 1 + s] for every image and blends, clipping to
    [0, 1]: brightness f x; contrast f x + (1 - f) m with m the mean luminance of the image; saturation
    f x + (1 - f) l with l the luminance of the pixel. The hue turns by a fraction of the circle drawn uniformly from
    [-hue, hue]. These are torchvision's ColorJitter under RandomApply, except that there the order is random.
    Images of one channel have neither saturation nor hue.

    Raises:
        ArgumentError: a strength is negative, the hue above 0.5 or the probability not in [0, 1].
    """
    for name, strength in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        check_range(name, strength, 0)
    check_range("hue", hue, 0, 0.5)
    check_range("probability", probability, 0, 1)

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        draws = jax.random.uniform(key, (5, len(images), 1, 1, 1))
        jittered = images
        if brightness:
            jittered = _blend(jittered, jnp.zeros(()), _factor(draws[0], brightness))
        if contrast:
            mean = luminance(jittered.mean((1, 2), keepdims=True))
            jittered = _blend(jittered, mean, _factor(draws[1], contrast))
        if saturation and images.shape[-1] == 3:
            jittered = _blend(jittered, luminance(jittered), _factor(draws[2], saturation))
        if hue and images.shape[-1] == 3:
            jittered = shift_hue(jittered, hue * (2.0 * draws[3, ..., 0] - 1.0))
        return jnp.where(draws[4] < probability, jittered, images)

    return augment


def _factor(draws: Float[Array, "b 1 1 1"], strength: float) -> Float[Array, "b 1 1 1"]:
    """Uniform in [max(0, 1 - strength), 1 + strength] as ``draws`` is in [0, 1)."""
    low = max(0.0, 1.0 - strength)
    return low + (1.0 + strength - low) * draws


def _blend(images: Float[Array, "b h w c"], other: Array, factor: Float[Array, "b 1 1 1"]) -> Float[Array, "b h w c"]:
    return jnp.clip(factor * images + (1.0 - factor) * other, 0.0, 1.0)
