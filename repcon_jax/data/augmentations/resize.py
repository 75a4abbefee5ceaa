"""Resize images."""

from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation
from repcon_jax.data.resampling import resample, resampling_weights
from repcon_jax.errors import check_range
from repcon_jax.random import Key


@AUGMENTATIONS.register("resize")
def resize(*, size: int) -> Augmentation:
    """Resizes every image to size x size with PIL's antialiased bilinear filter; draws nothing.

    Raises:
        ArgumentError: the size is not positive.
    """
    check_range("size", size, 1)

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b s s c"]:
        del key
        _, height, width, _ = images.shape
        return resample(images, resampling_weights(height, size), resampling_weights(width, size))

    return augment
