"""Ten plane shapes as signed distances from their edge: negative inside, in a frame that they fill, y downwards."""

from collections.abc import Callable

import numpy as np

Sprite = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - 0.9


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(x, y) - 0.68) - 0.22


def _box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _box(x, y, 0.72, 0.72)


def _bar(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _box(x, y, 0.95, 0.28)


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.minimum(_box(x, y, 0.92, 0.26), _box(x, y, 0.26, 0.92))


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(y - 0.5, np.abs(x) * (np.sqrt(3) / 2) - y / 2 - 0.5)


def _crescent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.hypot(x, y) - 0.9, 0.75 - np.hypot(x - 0.45, y))


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Five points: the sector of 36 degrees between a tip and a notch, mirrored ten times."""
    sector = np.pi / 5
    angle = np.abs((np.arctan2(x, -y) + sector) % (2 * sector) - sector)
    radius = np.hypot(x, y)
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    notch = 0.45 * np.array([np.cos(sector), np.sin(sector)])
    edge = notch - np.array([1.0, 0.0])
    normal = np.array([edge[1], -edge[0]]) / np.hypot(*edge)
    return (along - 1.0) * normal[0].astype(x.dtype) + across * normal[1].astype(x.dtype)


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A square on its tip and a disc on each of its upper edges."""
    x, y = np.abs(x), y - 0.08
    side = 0.55
    square = x + np.abs(y) - side * np.sqrt(2)
    lobe = np.hypot(x - side / np.sqrt(2), y + side / np.sqrt(2)) - side
    return np.minimum(square / np.sqrt(2), lobe)


def _arrow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    head = np.maximum(0.05 - x, (x + np.abs(y) * 1.1 - 0.95) / np.hypot(1.0, 1.1))
    return np.minimum(head, _box(x + 0.4, y, 0.52, 0.24))


SPRITES: dict[str, Sprite] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "bar": _bar,
    "cross": _cross,
    "triangle": _triangle,
    "crescent": _crescent,
    "star": _star,
    "heart": _heart,
    "arrow": _arrow,
}
