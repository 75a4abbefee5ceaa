"""Images of independent Gaussian noise: is there anything to learn in the data at all?"""

import numpy as np

from repcon_jax.data.dataset import Dataset, check_split
from repcon_jax.data.sources import SOURCES
from repcon_jax.errors import check_range

_BLOCK = 1024


@SOURCES.register("gaussian_noise")
def gaussian_noise(
    split: str,
    *,
    num_examples: int = 10_000,
    image_size: int = 32,
    channels: int = 3,
    mean: float = 0.5,
    std: float = 0.25,
    seed: int = 0,
) -> Dataset:
    """Unlabelled images whose every value is drawn from N(mean, std^2), clipped to [0, 1] and rounded to uint8.

    Args:
        split: ``"train"``, the only one.
        num_examples: number of images; the first n of a longer set are those of the shorter one.
        image_size: side in pixels.
        channels: number of channels.
        mean, std: of the value before clipping, in units of the range [0, 1].
        seed: which images.
    Raises:
        DataError: there is no such split.
        ArgumentError: an option is out of range.

    Source: Sarnthein et al., Random Teachers are Good Teachers, 2023, Fig. 4, which distils on such images.
    """
    check_split("gaussian_noise", split, ("train",))
    for option, value in (("num_examples", num_examples), ("image_size", image_size), ("channels", channels)):
        check_range(option, value, 1)
    check_range("std", std, 0)
    check_range("seed", seed, 0)
    generator = np.random.default_rng(seed)
    images = np.empty((num_examples, image_size, image_size, channels), np.uint8)
    for start in range(0, num_examples, _BLOCK):
        block = images[start : start + _BLOCK]
        values = mean + std * generator.standard_normal(block.shape, np.float32)
        block[...] = np.rint(255 * np.clip(values, 0, 1))
    return Dataset(images, None, (), "gaussian_noise", split)
