"""Invert bright pixels."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation, chance
from repcon_jax.errors import check_range
from repcon_jax.random import Key


@AUGMENTATIONS.register("solarise")
def solarise(*, probability: float = 0.5, threshold: float = 0.5) -> Augmentation:
    """Replaces x >= threshold by 1 - x, with a probability for the image (torchvision's RandomSolarize).

    Raises:
        ArgumentError: the probability or the threshold is not in [0, 1].
    """
    check_range("probability", probability, 0, 1)
    check_range("threshold", threshold, 0, 1)

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        solarised = jnp.where(images >= threshold, 1.0 - images, images)
        return jnp.where(chance(key, probability, images), solarised, images)

    return augment
