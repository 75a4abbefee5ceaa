"""Windows of images as slices and reshapes, whose derivatives need no gather."""

from collections.abc import Sequence

from jax import lax
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channels"]
Maps = Float[Array, "batch rows columns features"]
Patches = Float[Array, "batch rows columns p q channels"]


def patches_of(images: Images, window: Sequence[int]) -> Patches:
    """The image cut into windows that do not overlap; what does not fill a window is dropped."""
    (batch, height, width, channels), (p, q) = images.shape, window
    rows, columns = height // p, width // q
    images = images[:, : rows * p, : columns * q]
    return images.reshape(batch, rows, p, columns, q, channels).swapaxes(2, 3)


def shifted_slices(images: Images, window: Sequence[int], strides: Sequence[int]) -> list[Maps]:
    """For every place in a window, row by row, what all windows have there."""
    (batch, height, width, channels), (sy, sx) = images.shape, strides
    last_y = (_output_size(height, window[0], sy) - 1) * sy
    last_x = (_output_size(width, window[1], sx) - 1) * sx
    return [
        lax.slice(images, (0, y, x, 0), (batch, y + last_y + 1, x + last_x + 1, channels), (1, sy, sx, 1))
        for y in range(window[0])
        for x in range(window[1])
    ]


def _output_size(size: int, window: int, stride: int) -> int:
    return (size - window) // stride + 1
