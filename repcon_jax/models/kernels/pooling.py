"""Max pooling whose gradient is fast on the CPU."""

import functools

import jax.numpy as jnp

from repcon_jax.models.kernels.patches import Images, Maps, patches_of, shifted_slices


def max_pool(images: Images, window: int = 2, stride: int = 2, padding: int = 0) -> Maps:
    """Maximum over windows; rows and columns that do not fill a window are dropped, as in PyTorch.

    Ties share the gradient evenly here and the first takes it all in PyTorch. After a ReLU, whose gradient at 0 is
    0, ties occur almost only among zeros, so nothing of that reaches the parameters.

    Args:
        images: what to pool.
        window: side of the window in pixels.
        stride: step between windows in pixels.
        padding: pixels of minus infinity around the image.
    """
    if padding:
        around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        images = jnp.pad(images, around, constant_values=-jnp.inf)
    if window == stride:
        # Reshape and max rather than reduce_window, whose gradient is slow on CPU.
        return patches_of(images, (window, window)).max(axis=(3, 4))
    return functools.reduce(jnp.maximum, shifted_slices(images, (window, window), (stride, stride)))
