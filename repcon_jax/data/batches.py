"""Batches on the device, pure and inside jit: which examples, and their pixels in [0, 1].

The whole data set lies on the device as uint8; an epoch is a permutation, so the order is a function of
(seed, epoch) and a resumed run sees the batches that the uninterrupted one would have seen.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32, Num, UInt8

from repcon_jax.errors import ArgumentError
from repcon_jax.random import Key, stream

AnyArray = Array | np.ndarray


def epoch_permutation(key: Key, num_examples: int, epoch: int | Int[Array, ""]) -> Int32[Array, " n"]:
    """The order of the examples in an epoch: a permutation drawn from ``stream(key, "order", epoch)``.

    Args:
        key: the run's seed key.
        num_examples: number of examples n, static.
        epoch: the epoch, may be traced.
    """
    order = jnp.arange(num_examples, dtype=jnp.int32)
    return jax.random.permutation(stream(key, "order", epoch), order)


def steps_per_epoch(num_examples: int, batch_size: int, drop_last: bool = True) -> int:
    """Number of batches in an epoch: floor(n / b), or its ceiling where the last batch is kept.

    Raises:
        ArgumentError: the batch is empty or larger than the data set.

    >>> steps_per_epoch(50_000, 256), steps_per_epoch(50_000, 256, drop_last=False)
    (195, 196)
    """
    if not 1 <= batch_size <= num_examples:
        problem = f"is {batch_size} but must lie in [1, {num_examples}], the number of training examples"
        raise ArgumentError("batch_size", problem, "take a smaller batch or more examples")
    return num_examples // batch_size if drop_last else -(-num_examples // batch_size)


def epoch_indices(
    key: Key, num_examples: int, batch_size: int, epoch: int | Int[Array, ""], drop_last: bool = True
) -> Int32[Array, "steps b"]:
    """The examples of every batch of an epoch.

    With ``drop_last`` the incomplete last batch is left out. Without it the batch is filled from the beginning of
    the same permutation, so that shapes stay static and every example is seen at least once; the paper's released
    code instead keeps the last batch smaller.

    Args:
        key: the run's seed key.
        num_examples: number of examples n, static.
        batch_size: examples per batch, static.
        epoch: the epoch, may be traced.
        drop_last: whether to leave out the incomplete last batch, static.
    Raises:
        ArgumentError: the batch is empty or larger than the data set.
    """
    steps = steps_per_epoch(num_examples, batch_size, drop_last)
    positions = jnp.arange(steps * batch_size, dtype=jnp.int32) % num_examples
    return epoch_permutation(key, num_examples, epoch)[positions].reshape(steps, batch_size)


def gather(images: Num[AnyArray, " n *shape"], indices: Int[AnyArray, " *b"]) -> Num[Array, "..."]:
    """The images (or labels) at ``indices``, which must lie in [0, n)."""
    return jnp.take(images, indices, axis=0, mode="clip")


def to_float(images: UInt8[AnyArray, "*b h w c"] | Float[AnyArray, "*b h w c"]) -> Float32[Array, "*b h w c"]:
    """uint8 pixels divided by 255; float images, already in [0, 1], as float32."""
    return jnp.asarray(images, jnp.float32) / (255 if images.dtype == jnp.uint8 else 1)
