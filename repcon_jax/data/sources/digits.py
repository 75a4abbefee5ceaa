"""scikit-learn's 1797 handwritten digits, the smallest real data set: no download."""

from typing import Literal

import numpy as np

from repcon_jax.data.dataset import Dataset, check_split
from repcon_jax.data.pixels import resize
from repcon_jax.data.sources import SOURCES
from repcon_jax.data.subsets import holdout
from repcon_jax.errors import check_range


@SOURCES.register("digits")
def digits(
    split: str, *, image_size: int = 8, resize_mode: Literal["pad", "bilinear", "nearest"] = "bilinear"
) -> Dataset:
    """The digits 0 to 9 from 8x8 grey pixels; 0..16 is scaled to 0..255.

    The data has no official split: a stratified fifth, always the same one, is the test set (1438 and 359 images).

    Args:
        split: ``"train"`` or ``"test"``.
        image_size: side in pixels.
        resize_mode: how an image size other than 8 is reached.
    Returns:
        Images of shape [n, image_size, image_size, 1].
    Raises:
        ArgumentError: the image size is not positive.
        DataError: there is no such split or the image size does not fit the mode.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """
    from sklearn.datasets import load_digits

    check_range("image_size", image_size, 1)
    check_split("digits", split, ("train", "test"))
    bunch = load_digits()
    images = np.rint(bunch.images[..., None] * (255 / 16)).astype(np.uint8)
    names = tuple(str(digit) for digit in range(10))
    both = Dataset(images, bunch.target.astype(np.int32), names, "digits", split)
    train, test = holdout(both, 0.2, seed=0)
    return resize(train if split == "train" else test, image_size, resize_mode)
