"""What a network expects of its images: every network normalises, and where needed resizes, for itself."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from repcon_jax.data import to_float

AnyArray = Array | np.ndarray
# Of red, green and blue in grey: ITU-R BT.601.
_LUMINANCE = (0.299, 0.587, 0.114)


def normalise(
    images: UInt8[AnyArray, "*b h w c"] | Float[AnyArray, "*b h w c"],
    mean: Float[AnyArray, " c"],
    std: Float[AnyArray, " c"],
) -> Float32[Array, "*b h w c"]:
    """(x - mean) / std in every channel, with x in [0, 1]; a channel that never varies (std 0) is only centred.

    Args:
        images: uint8 pixels, or floats in [0, 1].
        mean, std: as from ``repcon_jax.data.channel_statistics``.
    """
    return (to_float(images) - mean) / jnp.where(std > 0, std, 1.0)


@dataclass(frozen=True)
class Pixels:
    """What a network expects of images: called with images in [0, 1], it returns what the network's model takes.

    Args:
        mean, std: per channel, of images in [0, 1], with which the network was trained.
        size: (height, width) to which images of another size are scaled; None takes them as they come.

    >>> Pixels((0.5, 0.0, 1.0), (0.25, 0.5, 1.0))(jnp.ones((1, 1, 1, 1))).tolist()
    [[[[2.0, 2.0, 0.0]]]]
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None

    @property
    def channels(self) -> int:
        """Channels of the network's images."""
        return len(self.mean)

    def __call__(
        self, images: UInt8[AnyArray, "b h w c"] | Float[AnyArray, "b h w c"]
    ) -> Float32[Array, "b height width channels"]:
        """Images [batch, height, width, channels] as the model takes them.

        Args:
            images: uint8 pixels, or floats in [0, 1], of one or three channels or as many as the network's.
        Raises:
            ValueError: the channels are others.
        """
        images = with_channels(to_float(images), self.channels)
        if self.size is not None and images.shape[1:3] != self.size:
            shape = (images.shape[0], *self.size, images.shape[3])
            images = jax.image.resize(images, shape, "linear", antialias=True)
        return normalise(images, np.float32(self.mean), np.float32(self.std))


def with_channels(images: Float[Array, "b h w c"], channels: int) -> Float[Array, "b h w channels"]:
    """Grey images repeated three times, or the luminance of coloured ones, where the channels differ.

    Raises:
        ValueError: neither helps.
    """
    given = images.shape[-1]
    if given == channels:
        return images
    if given == 1:
        return jnp.repeat(images, channels, axis=-1)
    if given == 3 and channels == 1:
        return jnp.sum(images * np.float32(_LUMINANCE), axis=-1, keepdims=True)
    raise ValueError(f"images have {given} channels but the network takes {channels}; give it such images")
