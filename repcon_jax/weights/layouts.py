"""How the axes of an array are ordered in PyTorch and here; each layout is a pair of functions that undo each other."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """The order of an array's axes elsewhere.

    Args:
        ours: an array as it stands there -> as it stands here.
        theirs: the other way.
    """

    ours: Callable[[np.ndarray], np.ndarray]
    theirs: Callable[[np.ndarray], np.ndarray]


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _reversed(array: np.ndarray) -> np.ndarray:
    return array.T


SAME = Layout(_same, _same)
# [outputs, inputs] there, [inputs, outputs] here.
LINEAR = Layout(_reversed, _reversed)
# [outputs, inputs, height, width] there, [height, width, inputs, outputs] here.
CONVOLUTION = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))


def flattened(channels: int) -> Layout:
    """A linear map of a flattened image, which there is [channels, height, width] and here [height, width, channels].

    Args:
        channels: of the image.

    >>> kernel = np.arange(12).reshape(1, 12)  # two channels of 2 x 3 pixels
    >>> flattened(2).ours(kernel).ravel().tolist()
    [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]
    """

    def ours(array: np.ndarray) -> np.ndarray:
        outputs = array.shape[0]
        return array.reshape(outputs, channels, -1).transpose(2, 1, 0).reshape(-1, outputs)

    def theirs(array: np.ndarray) -> np.ndarray:
        outputs = array.shape[1]
        return array.reshape(-1, channels, outputs).transpose(2, 1, 0).reshape(outputs, -1)

    return Layout(ours, theirs)
