"""Synthetic scenes: one sprite per image, under known factors of variation.

The class is the sprite's shape; its position, rotation, scale and colour and the background are nuisances, each of
which can be switched off. Hence one can ask what a representation is invariant to.
"""

import dataclasses

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from repcon_jax.data.dataset import Dataset, check_split
from repcon_jax.data.sources import SOURCES
from repcon_jax.data.sprites import SPRITES
from repcon_jax.errors import ArgumentError, check_range, did_you_mean

FACTORS = ("position", "rotation", "scale", "colour", "background")
_BLOCK = 512


@dataclasses.dataclass(frozen=True, eq=False)
class Factors:
    """What each of n scenes shows; lengths are in half image sides, the image spans [-1, 1]^2 with y downwards.

    Args:
        labels: index into ``SPRITES``.
        position: centre (x, y) of the sprite.
        rotation: angle in radians, clockwise on the screen.
        scale: half the sprite's size.
        colour: RGB in [0, 1].
        background: RGB in [0, 1] at the two ends of a linear gradient.
        direction: angle of that gradient in radians.
    """

    labels: Int32[np.ndarray, " n"]
    position: Float32[np.ndarray, "n 2"]
    rotation: Float32[np.ndarray, " n"]
    scale: Float32[np.ndarray, " n"]
    colour: Float32[np.ndarray, "n 3"]
    background: Float32[np.ndarray, "n 2 3"]
    direction: Float32[np.ndarray, " n"]


@SOURCES.register("scenes")
def scenes(
    split: str,
    *,
    num_examples: int = 10_000,
    num_test: int = 2_000,
    image_size: int = 32,
    vary: tuple[str, ...] = FACTORS,
    seed: int = 0,
) -> Dataset:
    """Images of ten sprites; train and test draw their factors from two independent streams of the seed.

    Args:
        split: ``"train"`` or ``"test"``.
        num_examples, num_test: number of training and of test images.
        image_size: side in pixels.
        vary: the factors that vary, among ``FACTORS``; the others stay at the centre, upright, at half the image's
            size, white and on black.
        seed: which scenes.
    Returns:
        Images [n, image_size, image_size, 3]; classes are as equally frequent as n allows.
    Raises:
        DataError: there is no such split.
        ArgumentError: an option is out of range or a factor unknown.

    Source: the idea of Transforms-2D in T. Speicher et al., Understanding the Role of Invariance in Transfer
    Learning, 2024.
    """
    check_split("scenes", split, ("train", "test"))
    check_range("image_size", image_size, 1)
    factors = sample_factors(split, num_examples=num_examples, num_test=num_test, vary=vary, seed=seed)
    return Dataset(draw(factors, image_size), factors.labels, tuple(SPRITES), "scenes", split)


def sample_factors(
    split: str,
    *,
    num_examples: int = 10_000,
    num_test: int = 2_000,
    vary: tuple[str, ...] = FACTORS,
    seed: int = 0,
) -> Factors:
    """The factors behind ``scenes`` with the same arguments, to measure what a representation knows of them.

    Raises:
        ArgumentError: an option is out of range or a factor unknown.
    """
    n = num_examples if split == "train" else num_test
    check_range("num_examples" if split == "train" else "num_test", n, 1)
    check_range("seed", seed, 0)
    for factor in vary:
        if factor not in FACTORS:
            raise ArgumentError("vary", f"holds {factor!r}, no factor", did_you_mean(factor, FACTORS))
    generator = np.random.default_rng([seed, ("train", "test").index(split)])
    labels = generator.permutation(np.arange(n) % len(SPRITES))
    scale = generator.uniform(0.3, 0.6, n) if "scale" in vary else np.full(n, 0.5)
    room = (0.95 - scale)[:, None]
    position = generator.uniform(-room, room, (n, 2)) if "position" in vary else np.zeros((n, 2))
    rotation = generator.uniform(0, 2 * np.pi, n) if "rotation" in vary else np.zeros(n)
    # The brightest channel of a sprite lies above every channel of a background, so that no sprite vanishes.
    colour = _hues(generator, n, 0.75, 1.0) if "colour" in vary else np.ones((n, 3))
    background, direction = np.zeros((n, 2, 3)), np.zeros(n)
    if "background" in vary:
        background = generator.uniform(0.0, 0.5, (n, 2, 3))
        direction = generator.uniform(0, 2 * np.pi, n)
    values = (position, rotation, scale, colour, background, direction)
    return Factors(labels.astype(np.int32), *(value.astype(np.float32) for value in values))


def draw(factors: Factors, image_size: int) -> UInt8[np.ndarray, "n s s 3"]:
    """Draws the scenes: in the sprite's own frame, a pixel is covered according to its distance from the edge.

    The coverage is clip(1/2 - d, 0, 1) with d the distance in pixels, negative inside.
    """
    n = len(factors.labels)
    images = np.empty((n, image_size, image_size, 3), np.uint8)
    axis = ((np.arange(image_size) + 0.5) * (2 / image_size) - 1).astype(np.float32)
    for label, distance in enumerate(SPRITES.values()):
        members = np.flatnonzero(factors.labels == label)
        for start in range(0, len(members), _BLOCK):
            some = members[start : start + _BLOCK]
            x, y = _sprite_frame(factors, some, axis)
            pixels = distance(x, y) * (factors.scale[some, None, None] * (image_size / 2))
            coverage = np.clip(0.5 - pixels, 0, 1)[..., None]
            behind = _background(factors, some, axis)
            scene = behind + coverage * (factors.colour[some, None, None] - behind)
            images[some] = np.rint(255 * scene)
    return images


def _hues(generator: np.random.Generator, n: int, low: float, high: float) -> np.ndarray:
    """Saturated colours of every hue whose brightest channel is uniform in [low, high]."""
    hue = generator.uniform(0, 6, (n, 1))
    k = (np.array([5.0, 3.0, 1.0]) + hue) % 6
    saturation = generator.uniform(0.5, 1.0, (n, 1))
    return generator.uniform(low, high, (n, 1)) * (1 - saturation * np.clip(np.minimum(k, 4 - k), 0, 1))


def _sprite_frame(factors: Factors, some: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates [b, s, s] of the pixels in the frames of the sprites, in which a sprite fills [-1, 1]^2."""
    x = axis[None, None, :] - factors.position[some, 0, None, None]
    y = axis[None, :, None] - factors.position[some, 1, None, None]
    cos, sin = np.cos(factors.rotation[some, None, None]), np.sin(factors.rotation[some, None, None])
    scale = factors.scale[some, None, None]
    return (cos * x + sin * y) / scale, (cos * y - sin * x) / scale


def _background(factors: Factors, some: np.ndarray, axis: np.ndarray) -> Float32[np.ndarray, "b s s 3"]:
    direction = factors.direction[some, None, None]
    along = np.cos(direction) * axis[None, None, :] + np.sin(direction) * axis[None, :, None]
    weight = (0.5 + along / (2 * np.sqrt(2)))[..., None].astype(np.float32)
    first, second = factors.background[some, 0, None, None], factors.background[some, 1, None, None]
    return first + weight * (second - first)
