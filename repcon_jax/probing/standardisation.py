"""Features of mean 0 and standard deviation 1 by the statistics of the training set."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def standardise(
    train: Float[Array, "train features"], test: Float[Array, "test features"]
) -> tuple[Float[Array, "train features"], Float[Array, "test features"]]:
    """(x - mean) / standard deviation per feature, both of the training set; the deviation is the unbiased one.

    A feature that is constant up to rounding is only centred, so that a collapsed encoder gives zeros and not noise.

    Args:
        train: [train, features], at least two examples.
        test: [test, features].
    Returns:
        Both sets standardised, float32.
    """
    mean = jnp.mean(train, axis=0)
    deviation = jnp.std(train - mean, axis=0, ddof=1)
    rounding = 10.0 * jnp.finfo(train.dtype).eps * jnp.max(jnp.abs(train), axis=0)
    divisor = jnp.where(deviation > rounding, deviation, 1.0)
    return (train - mean) / divisor, (test - mean) / divisor
