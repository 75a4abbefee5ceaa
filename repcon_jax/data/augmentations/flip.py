"""Mirror images left to right."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation, chance
from repcon_jax.errors import check_range
from repcon_jax.random import Key


@AUGMENTATIONS.register("flip")
def flip(*, probability: float = 0.5) -> Augmentation:
    """Mirrors every image left to right with a probability (torchvision's RandomHorizontalFlip).

    Raises:
        ArgumentError: the probability is not in [0, 1].
    """
    check_range("probability", probability, 0, 1)

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        return jnp.where(chance(key, probability, images), images[:, :, ::-1], images)

    return augment
