"""Shift images by a few pixels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation
from repcon_jax.errors import check_range
from repcon_jax.random import Key


@AUGMENTATIONS.register("padded_crop")
def padded_crop(*, padding: int = 4) -> Augmentation:
    """Surrounds every image with black pixels and cuts out its own size at a random place.

    As torchvision's RandomCrop(size, padding): each of the (2 padding + 1)^2 places is equally likely.

    Raises:
        ArgumentError: the padding is negative.
    """
    check_range("padding", padding, 0)

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        offsets = jax.random.randint(key, (len(images), 2), 0, 2 * padding + 1)
        padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

        def crop(image: Float[Array, "H W c"], offset: Array) -> Float[Array, "h w c"]:
            return jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), images.shape[1:])

        return jax.vmap(crop)(padded, offsets)

    return augment
