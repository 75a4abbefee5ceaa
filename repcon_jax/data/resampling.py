"""The weights of antialiased bilinear interpolation, shared by resizing and cropping."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def resampling_weights(
    length: int,
    size: int,
    start: float | Float[Array, "*b"] = 0.0,
    extent: float | Float[Array, "*b"] | None = None,
    antialias: bool = True,
) -> Float[Array, "*b size length"]:
    """Rows of weights that resample the interval [start, start + extent) of a line of pixels to ``size`` pixels.

    Output pixel o is centred at x_o = start + (o + 1/2) s with s = extent / size; input pixel i of the interval gets
    the weight max(0, 1 - |i + 1/2 - x_o| / max(s, 1)), and every row is divided by its sum. This is PIL's and
    torchvision's bilinear filter on the cropped line; without antialiasing the width is 1 and not max(s, 1).

    Args:
        length: number of input pixels.
        size: number of output pixels.
        start: first pixel of the interval, whole numbers, any leading shape.
        extent: number of pixels of the interval, whole numbers; None takes the line from ``start`` = 0 to its end.
        antialias: whether the filter widens when it shrinks.
    Returns:
        Weights whose rows sum to one; zero outside the interval.

    >>> resampling_weights(2, 4)[1].tolist()
    [0.75, 0.25]
    """
    start = jnp.asarray(start, jnp.float32)[..., None, None]
    extent = jnp.asarray(length if extent is None else extent, jnp.float32)[..., None, None]
    scale = extent / size
    centre = start + (jnp.arange(size)[:, None] + 0.5) * scale
    pixel = jnp.arange(length) + 0.5
    support = jnp.maximum(scale, 1.0) if antialias else 1.0
    weights = jnp.maximum(0.0, 1.0 - jnp.abs(pixel - centre) / support)
    weights = jnp.where((pixel > start) & (pixel < start + extent), weights, 0.0)
    return weights / weights.sum(-1, keepdims=True)


def resample(
    images: Float[Array, "b h w c"], rows: Float[Array, "*#b s h"], columns: Float[Array, "*#b t w"]
) -> Float[Array, "b s t c"]:
    """Applies weights along height and width, shared by the batch or one set per image.

    Full precision, because accelerators would otherwise round pixels to bfloat16 or TF32.
    """
    row, column = ("boh" if rows.ndim == 3 else "oh"), ("bpw" if columns.ndim == 3 else "pw")
    images = jnp.einsum(f"{row},bhwc->bowc", rows, images, precision="highest")
    return jnp.einsum(f"{column},bowc->bopc", columns, images, precision="highest")
