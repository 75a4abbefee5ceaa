"""Several augmented views of every image (multi-crop)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import Augmentation
from repcon_jax.data.pipeline import parse_pipeline
from repcon_jax.errors import check_range
from repcon_jax.random import Key, stream

Views = Callable[[Key, Float[Array, "b h w c"]], tuple[Float[Array, "g b h2 w2 c"], Float[Array, "l b h3 w3 c"]]]


def build_views(global_augment: str = "", num_global: int = 1, local_augment: str = "", num_local: int = 0) -> Views:
    """A function that makes global and local views of a batch, each view with a key of its own.

    Args:
        global_augment, local_augment: pipelines as text, see ``parse_pipeline``.
        num_global, num_local: number of views g of the one kind (at least one) and l of the other.
    Returns:
        ``views(key, images [b, h, w, c] in [0, 1]) -> (global views [g, b, ...], local views [l, b, ...])``. The
        defaults give the images themselves as the only view and an empty array of local views.
    Raises:
        ConfigError: a pipeline is wrong.
        ArgumentError: a number is out of range.

    Source: M. Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, 2020.
    """
    check_range("num_global", num_global, 1)
    check_range("num_local", num_local, 0)
    augment_global = parse_pipeline(global_augment, "data.global_augment")
    augment_local = parse_pipeline(local_augment, "data.local_augment")

    def views(key: Key, images: Float[Array, "b h w c"]) -> tuple[Array, Array]:
        return (
            _repeat(augment_global, stream(key, "global"), num_global, images),
            _repeat(augment_local, stream(key, "local"), num_local, images),
        )

    return views


def _repeat(augment: Augmentation, key: Key, number: int, images: Float[Array, "b h w c"]) -> Float[Array, "n b ..."]:
    if number == 0:
        one = jax.eval_shape(augment, key, images)
        return jnp.zeros((0, *one.shape), one.dtype)
    return jax.vmap(augment, (0, None))(jax.random.split(key, number), images)
