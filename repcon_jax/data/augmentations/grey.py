"""Take the colour out of images."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation, chance
from repcon_jax.data.colours import luminance
from repcon_jax.errors import check_range
from repcon_jax.random import Key


@AUGMENTATIONS.register("grey")
def grey(*, probability: float = 0.1) -> Augmentation:
    """Replaces every channel by 0.2989 R + 0.587 G + 0.114 B with a probability (torchvision's RandomGrayscale).

    Images of one channel are grey already.

    Raises:
        ArgumentError: the probability is not in [0, 1].
    """
    check_range("probability", probability, 0, 1)

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        return jnp.where(chance(key, probability, images), luminance(images), images)

    return augment
