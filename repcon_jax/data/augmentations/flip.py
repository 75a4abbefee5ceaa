"""Mirror images left to right."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation, chance, check_option
from repcon_jax.random import Key


@AUGMENTATIONS.register("flip")
def flip(*, probability: float = 0.5) -> Augmentation:
    """Mirrors every image left to right with a probability (torchvision's RandomHorizontalFlip).

    Raises:
        ConfigError: the probability is not in [0, 1].
    """
    check_option("flip.probability", probability, 0, 1)

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        return jnp.where(chance(key, probability, images), images[:, :, ::-1], images)

    return augment
