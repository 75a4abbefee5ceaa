"""Features on a common scale: of mean 0 and standard deviation 1 by the training set, or of length 1."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError

Normalisation = Literal["none", "standardise", "l2"]


def one_normalisation(normalisation: Normalisation, standardise: bool) -> Normalisation:
    """The normalisation of a probe that has both options.

    Args:
        normalisation: which.
        standardise: True stands for ``"standardise"``.
    Raises:
        ArgumentError: the two contradict each other.

    >>> one_normalisation("none", True)
    'standardise'
    """
    if not standardise:
        return normalisation
    if normalisation == "l2":
        raise ArgumentError("standardise", "is True but normalisation is 'l2'", "drop one of the two")
    return "standardise"


def normalise_features(
    train: Float[Array, "train features"], test: Float[Array, "test features"], normalisation: Normalisation
) -> tuple[Float[Array, "train features"], Float[Array, "test features"]]:
    """Both sets as they are, standardised, see ``standardise``, or every example divided by its Euclidean norm.

    An example that is all zeros stays so.

    Args:
        train: [train, features].
        test: [test, features].
        normalisation: which.
    """
    if normalisation == "standardise":
        return standardise(train, test)
    return (train, test) if normalisation == "none" else (_of_length_one(train), _of_length_one(test))


def _of_length_one(features: Float[Array, "examples features"]) -> Float[Array, "examples features"]:
    norms = jnp.linalg.norm(features, axis=1, keepdims=True)
    return features / jnp.where(norms > 0, norms, 1.0)


@jax.jit
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
