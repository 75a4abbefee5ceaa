"""Augmentation pipelines as text, so that a whole pipeline is one scalar of the config."""

import jax
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation
from repcon_jax.random import Key


def parse_pipeline(text: str, field: str = "pipeline") -> Augmentation:
    """The augmentation that ``text`` describes: registered names, options in brackets, from left to right.

    Args:
        text: such as ``"flip|padded_crop(padding=4)"``; ``""`` is the identity.
        field: config field that it stands in, for messages.
    Returns:
        ``augment(key, images [b, h, w, c] in [0, 1]) -> images``; every stage has its own key.
    Raises:
        ConfigError: the text is not of this form, a name or an option is unknown or an option's value is wrong.

    >>> augment = parse_pipeline("flip(probability=1.0)|resize(size=2)")
    >>> augment(jax.random.key(0), jax.numpy.zeros((1, 4, 4, 3))).shape
    (1, 2, 2, 3)
    """
    stages = [AUGMENTATIONS.parse(stage, field) for stage in text.split("|")] if text.strip() else []

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        for position, stage in enumerate(stages):
            images = stage(jax.random.fold_in(key, position), images)
        return images

    return augment
