"""Position embeddings of a grid of patches, interpolated to another grid as the networks do that were trained so."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Interpolation = Literal["antialiased", "plain"]
# Keys' parameter: PyTorch takes one value with antialiasing, as Pillow does, and another without, as OpenCV does.
_SHARPNESS = {"antialiased": -0.5, "plain": -0.75}


def interpolate_positions(
    positions: Float[Array, "height width size"],
    grid: tuple[int, int],
    interpolation: Interpolation = "antialiased",
    offset: float = 0.0,
) -> Float[Array, "rows columns size"]:
    """Bicubic interpolation of positions to another grid, where places are centres of patches.

    Place ``i`` of the new grid lies at ``(i + 1/2) / scale - 1/2`` in the old one, ``scale = (new + offset) / old``.

    Args:
        positions: of the grid that the network was trained with.
        grid: rows and columns of the new one.
        interpolation: ``antialiased`` widens the kernel where the grid shrinks and leaves out what lies beyond the
            border, ``plain`` does neither and repeats the border; as torch.nn.functional.interpolate does with and
            without ``antialias``, in the mode ``bicubic``.
        offset: added to the new grid's sides when the scale is computed; DINO and DINOv2 take 0.1.

    Sources: Keys, IEEE Transactions on Acoustics, Speech, and Signal Processing 29 (1981), equation 4; Caron et al.,
    arXiv 2104.14294, and Oquab et al., arXiv 2304.07193, whose networks were trained so.

    >>> interpolate_positions(jnp.arange(4.0).reshape(2, 2, 1), (1, 1))[0, 0].tolist()
    [1.5]
    """
    rows, columns = (
        _weights(old, new, interpolation, offset) for old, new in zip(positions.shape[:2], grid, strict=True)
    )
    return jnp.einsum("rh,hwc,kw->rkc", rows, positions, columns, precision="highest")


def _weights(old: int, new: int, interpolation: Interpolation, offset: float) -> Float[np.ndarray, "{new} {old}"]:
    """The weight of each old place in each new one; rows sum to one."""
    step = old / (new + offset)
    places = (np.arange(new) + 0.5) * step - 0.5
    if interpolation == "antialiased":
        width = max(step, 1.0)
        weights = _cubic((places[:, None] - np.arange(old)) / width, _SHARPNESS[interpolation])
        return np.float32(weights / weights.sum(1, keepdims=True))
    weights = np.zeros((new, old))
    for shift in range(-1, 3):
        neighbour = np.floor(places) + shift
        inside = np.clip(neighbour, 0, old - 1).astype(int)
        np.add.at(weights, (np.arange(new), inside), _cubic(places - neighbour, _SHARPNESS[interpolation]))
    return np.float32(weights)


def _cubic(x: Float[np.ndarray, "*shape"], a: float) -> Float[np.ndarray, "*shape"]:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
