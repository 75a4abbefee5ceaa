"""Augmentations: one file each, found by the registry.

A builder's keyword-only arguments are its options and it returns ``augment(key, images) -> images``: a pure
function of float images in [0, 1], [b, h, w, c], in which every image draws its own randomness. Bounds and
formulas follow torchvision; where one differs, its docstring says so.
"""

from collections.abc import Callable

import jax
from jaxtyping import Array, Bool, Float

from repcon_jax.options.registry import Registry
from repcon_jax.random import Key

AUGMENTATIONS = Registry("augmentation", "repcon_jax.data.augmentations")

Augmentation = Callable[[Key, Float[Array, "b h w c"]], Float[Array, "b h2 w2 c"]]


def chance(key: Key, probability: float, images: Float[Array, "b h w c"]) -> Bool[Array, "b 1 1 1"]:
    """Which images are changed, each with the given probability."""
    return jax.random.bernoulli(key, probability, (len(images), 1, 1, 1))
