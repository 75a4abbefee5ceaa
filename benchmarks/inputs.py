"""The images that everything is measured on: random uint8 pixels, so that nothing has to be downloaded."""

import numpy as np

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def images(count: int) -> np.ndarray:
    """uint8 [count, 32, 32, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
