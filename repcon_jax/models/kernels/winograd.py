"""3x3 convolution of stride 1 with 2.25 to 4 times fewer products (Winograd), as matrix products.

A tile of m x m outputs needs (m + 2)^2 products per pair of channels instead of 9 m^2:

    y = A^T [(G k G^T) * (B^T x B)] A,   x a (m + 2) x (m + 2) tile of the image, * elementwise, summed over channels

Source: Lavin and Gray, arXiv 1509.09308, section 4; tiles of 4 with the points of ``POINTS``, see there.
"""

import functools
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channels"]
Maps = Float[Array, "batch rows columns features"]
Kernel = Float[Array, "3 3 channels features"]
Transformed = Float[Array, "products channels features"]
Matrix = Float[np.ndarray, "_ _"]
Pads = tuple[tuple[int, int], tuple[int, int]]

# Interpolation points besides infinity. Those of tiles of 4 are not Lavin and Gray's 0, +-1, +-2: each with its
# reciprocal keeps the powers small, which halves the rounding error (Barabasz et al., arXiv 1803.10986, section 5).
POINTS = {
    2: (Fraction(0), Fraction(1), Fraction(-1)),
    4: (Fraction(0), Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2)),
}
# Tiles of 4 have 3 to 6 times the rounding error of XLA's direct float32 product, 1 to 2.3 millionths of the norm, and
# twice that of PyTorch's convolution on a CPU (0.6 to 1.1). It grows with the channels that are summed, of the images
# forward and of the maps backward, which are limited for that. Tiles of 2 have 1 to 3 times the direct error.
_MOST_CHANNELS_OF_TILE_4 = 512
# Floats of a block's transformed images: a quarter of a gigabyte, several times that with what is made of them.
_BLOCK_FLOATS = 2**26


def winograd_convolution(images: Images, kernel: Kernel, pads: Pads, precision: Any = None) -> Maps:
    """``y[n, i, j] = sum_ab x[n, i + a - top, j + b - left] @ kernel[a, b]`` with few products.

    Args:
        images: [batch, height, width, channels].
        kernel: [3, 3, channels, features].
        pads: zeros around the image, ((top, bottom), (left, right)).
        precision: of the matrix products, as in ``jax.lax.dot``.
    Returns:
        [batch, rows, columns, features] of the images' type; the computation is float32 at least.

    Source: Lavin and Gray, arXiv 1509.09308, section 4.
    """
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    rows, columns = (s + sum(p) - 2 for s, p in zip(images.shape[1:3], pads, strict=True))
    tile = tile_size(rows, columns, max(kernel.shape[2:]))
    weights = _transform_kernel(kernel.astype(dtype), tile)
    products = (tile + 2) ** 2 * -(-rows // tile) * -(-columns // tile)
    size = max(1, _BLOCK_FLOATS // (products * images.shape[3]))
    # A loop over blocks that fit into a core's cache takes up to twice as long, forward and backward: what goes in and
    # out of a loop is copied, the kernel's derivative is summed block by block, and small products are slow ones.
    maps = [
        _convolve_block(images[start : start + size].astype(dtype), weights, pads, tile, precision)
        for start in range(0, len(images) or 1, size)
    ]
    return (jnp.concatenate(maps) if len(maps) > 1 else maps[0]).astype(images.dtype)


def tile_size(rows: int, columns: int, channels: int) -> int:
    """Side of the tiles of outputs: 4 where that is precise enough and the map is larger than 2x2, else 2.

    Args:
        rows: of the maps.
        columns: likewise.
        channels: of the images or the maps, whichever has more.
    """
    return 4 if max(rows, columns) > 2 and channels <= _MOST_CHANNELS_OF_TILE_4 else 2


@functools.cache
def transforms(tile: int) -> tuple[Matrix, Matrix, Matrix]:
    """The matrices A^T [m, m + 2], G [m + 2, 3] and B^T [m + 2, m + 2] of tiles of m outputs.

    A product of polynomials is its values at m + 1 points, and its leading coefficient, interpolated; a correlation
    is that, transposed. Rows of B^T are scaled to a largest entry near 1, by powers of 2, and those of G inversely.

    Source: Lavin and Gray, arXiv 1509.09308, section 4.1 (Cook and Toom's algorithm).
    """
    size = tile + 2
    outputs, kernel, image = (_powers(POINTS[tile], n) for n in (tile, 3, size))
    interpolation = np.linalg.inv(image).T
    scale = 2.0 ** np.round(np.log2(np.abs(interpolation).max(1, keepdims=True)))
    return outputs.T, kernel * scale, interpolation / scale


def _powers(points: tuple[Fraction, ...], count: int) -> Matrix:
    infinity = [0.0] * (count - 1) + [1.0]
    return np.array([[float(p**j) for j in range(count)] for p in points] + [infinity])


def _transform_kernel(kernel: Kernel, tile: int) -> Transformed:
    g = transforms(tile)[1].astype(kernel.dtype)
    flat = kernel.reshape(9, -1)
    return jnp.matmul(np.kron(g, g), flat, precision="highest").reshape(-1, *kernel.shape[2:])


def _convolve_block(images: Images, weights: Transformed, pads: Pads, tile: int, precision: Any) -> Maps:
    (batch, height, width, channels), features = images.shape, weights.shape[2]
    rows, columns = height + sum(pads[0]) - 2, width + sum(pads[1]) - 2
    down, across = -(-rows // tile), -(-columns // tile)
    a, _, b = (matrix.astype(images.dtype) for matrix in transforms(tile))
    tiles = _cut(images, pads, tile, down, across)
    # Both axes at once, as one product with a Kronecker square: more operations than one axis after the other but
    # fewer passes over memory.
    values = jnp.matmul(np.kron(b, b), tiles.reshape(len(tiles), -1), precision="highest")
    products = jnp.matmul(values.reshape(len(tiles), -1, channels), weights, precision=precision)
    outputs = jnp.matmul(np.kron(a, a), products.reshape(len(tiles), -1), precision="highest")
    outputs = outputs.reshape(tile, tile, batch, down, across, features).transpose(2, 3, 0, 4, 1, 5)
    return outputs.reshape(batch, down * tile, across * tile, features)[:, :rows, :columns]


def _cut(
    images: Images, pads: Pads, tile: int, down: int, across: int
) -> Float[Array, "pixels batch down across channels"]:
    # A tile is a square of m x m pixels and two more rows and columns from its neighbours. Cut so, the derivative is
    # two short sums; strided slices would give one padded copy of the images per pixel of a tile. The transpose comes
    # first because the overlapping tiles are up to four times as large, and what follows moves them in long runs.
    batch, height, width, channels = images.shape
    (top, _), (left, _) = pads
    bottom, right = tile * (down + 1) - height - top, tile * (across + 1) - width - left
    images = jnp.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)))
    x = images.reshape(batch, down + 1, tile, across + 1, tile, channels).transpose(2, 4, 0, 1, 3, 5)
    x = jnp.concatenate([x[:, :, :, :-1], x[:2, :, :, 1:]], axis=0)
    x = jnp.concatenate([x[:, :, :, :, :-1], x[:, :2, :, :, 1:]], axis=1)
    return x.reshape((tile + 2) ** 2, batch, down, across, channels)
