"""Blur images."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation, chance
from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.random import Key


@AUGMENTATIONS.register("blur")
def blur(
    *, probability: float = 0.5, min_sigma: float = 0.1, max_sigma: float = 2.0, kernel_size: int = 5
) -> Augmentation:
    """Blurs with a Gaussian of a random width, with a probability (torchvision's GaussianBlur under RandomApply).

    The kernel exp(-i^2 / (2 sigma^2)), |i| <= (kernel_size - 1) / 2, is divided by its sum; sigma is uniform in
    [min_sigma, max_sigma] for every image; the image is continued by reflection that does not repeat its edge.

    Args:
        probability: share of the images that are blurred.
        min_sigma, max_sigma: bounds of the standard deviation in pixels.
        kernel_size: pixels that are averaged along each axis, odd.
    Raises:
        ArgumentError: an option is out of range, or (when called) the kernel does not fit the image.
    """
    check_range("probability", probability, 0, 1)
    check_range("min_sigma", min_sigma, 1e-3)
    check_range("max_sigma", max_sigma, min_sigma)
    radius = kernel_size // 2
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ArgumentError("kernel_size", f"is {kernel_size} but must be odd and positive")

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        b, height, width, _ = images.shape
        if radius >= min(height, width):
            need = f"images of {height}x{width} pixels need one below {2 * min(height, width)}"
            raise ArgumentError("kernel_size", f"is {kernel_size} but {need}", "take a smaller one")
        which, width_key = jax.random.split(key)
        sigma = jax.random.uniform(width_key, (b, 1), minval=min_sigma, maxval=max_sigma)
        kernel = jnp.exp(-0.5 * (jnp.arange(-radius, radius + 1) / sigma) ** 2)
        kernel = kernel / kernel.sum(1, keepdims=True)
        blurred = _correlate(_correlate(images, kernel, 1), kernel, 2)
        return jnp.where(chance(which, probability, images), blurred, images)

    return augment


def _correlate(images: Float[Array, "b h w c"], kernel: Float[Array, "b k"], axis: int) -> Float[Array, "b h w c"]:
    """Averages along one axis as a sum of shifted images: XLA's convolution is slow inside a scan on the CPU."""
    length, taps = images.shape[axis], kernel.shape[1]
    padding = [(0, 0)] * 4
    padding[axis] = (taps // 2, taps // 2)
    padded = jnp.pad(images, padding, mode="reflect")
    shifted = [jax.lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(taps)]
    return sum((kernel[:, i, None, None, None] * image for i, image in enumerate(shifted)), jnp.zeros_like(images))
