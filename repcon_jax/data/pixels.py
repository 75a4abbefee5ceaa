"""Changing pixels before training, and their statistics: pure functions of whole data sets."""

import dataclasses
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float32, UInt8

from repcon_jax.data.dataset import Dataset
from repcon_jax.data.resampling import resampling_weights
from repcon_jax.errors import ArgumentError, DataError

ResizeMode = Literal["pad", "bilinear", "nearest"]
_BLOCK = 1024


def to_rgb(dataset: Dataset) -> Dataset:
    """Repeats a grey channel three times; images that have three channels stay as they are.

    Raises:
        DataError: the images have neither one nor three channels.
    """
    channels = dataset.images.shape[-1]
    if channels == 3:
        return dataset
    if channels != 1:
        raise DataError(f"data set {dataset} has {channels} channels but rgb needs 1 or 3; leave them as they are.")
    return dataclasses.replace(dataset, images=np.repeat(dataset.images, 3, axis=-1))


def resize(dataset: Dataset, size: int, mode: ResizeMode = "bilinear") -> Dataset:
    """Square images of side ``size``.

    Args:
        dataset: images [n, h, w, c].
        size: side in pixels.
        mode: ``"pad"`` centres the image in zeros, ``"bilinear"`` interpolates (antialiased when it shrinks, as in
            PIL), ``"nearest"`` repeats or drops pixels.
    Returns:
        Images [n, size, size, c], rounded to uint8.
    Raises:
        ArgumentError: the size is not positive.
        DataError: it is smaller than the images with ``"pad"``.
    """
    _, height, width, _ = dataset.images.shape
    if size < 1:
        raise ArgumentError("size", f"is {size} but must be at least 1")
    if (height, width) == (size, size):
        return dataset
    if mode == "pad":
        images = _pad(dataset, size)
    elif mode == "nearest":
        images = dataset.images[:, _nearest(height, size)][:, :, _nearest(width, size)]
    else:
        images = _bilinear(dataset.images, size)
    return dataclasses.replace(dataset, images=images)


def channel_statistics(dataset: Dataset) -> tuple[Float32[np.ndarray, " c"], Float32[np.ndarray, " c"]]:
    """Mean and standard deviation of every channel of images / 255, over all pixels of all images.

    The sums are exact integers, so the result does not depend on the order or the size of blocks:
    mean = S / (255 n), std^2 = (n Q - S^2) / (255 n)^2 with S the sum and Q the sum of squares of the n pixels.

    Raises:
        DataError: the data set is empty.
    """
    images = dataset.images
    if images.size == 0:
        raise DataError(f"data set {dataset} is empty and has no channel statistics; choose at least one example.")
    total = np.zeros(images.shape[-1], np.int64)
    squares = np.zeros_like(total)
    for start in range(0, len(images), _BLOCK):
        # 32 bits hold the sum of 1024 squares, so the long sum over the images runs in narrow integers.
        block = images[start : start + _BLOCK].astype(np.uint32)
        total += block.sum(axis=0, dtype=np.uint32).astype(np.int64).sum(axis=(0, 1))
        squares += np.square(block).sum(axis=0, dtype=np.uint32).astype(np.int64).sum(axis=(0, 1))
    n = images[..., 0].size
    # Python integers have no width: n Q exceeds 64 bits from a few million pixels on.
    variance = [(n * int(q) - int(s) ** 2) / (255 * n) ** 2 for s, q in zip(total, squares, strict=True)]
    return (total / (255 * n)).astype(np.float32), np.sqrt(variance).astype(np.float32)


def _pad(dataset: Dataset, size: int) -> UInt8[np.ndarray, "n s s c"]:
    n, height, width, channels = dataset.images.shape
    if size < max(height, width):
        raise DataError(
            f"image_size is {size} but the images of data set {dataset} are {height}x{width}; "
            f"'pad' can't shrink, choose a larger size or the mode 'bilinear'."
        )
    images = np.zeros((n, size, size, channels), np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    images[:, top : top + height, left : left + width] = dataset.images
    return images


def _nearest(length: int, size: int) -> np.ndarray:
    """The input pixel that holds the centre of each output pixel."""
    return (2 * np.arange(size) + 1) * length // (2 * size)


def _bilinear(images: UInt8[np.ndarray, "n h w c"], size: int) -> UInt8[np.ndarray, "n s s c"]:
    n, height, width, channels = images.shape
    weights = jax.jit(resampling_weights, static_argnums=(0, 1))
    rows, columns = np.asarray(weights(height, size)), np.asarray(weights(width, size))
    out = np.empty((n, size, size, channels), np.uint8)
    for start in range(0, n, _BLOCK):
        block = images[start : start + _BLOCK].astype(np.float32)
        block = np.einsum("oh,nhwc,pw->nopc", rows, block, columns, optimize=True)
        out[start : start + _BLOCK] = np.rint(block)
    return out
