"""What measures of whole representations share: centring, products of full precision, distances of all pairs."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError


def centred(features: Float[Array, "examples size"]) -> Float[Array, "examples size"]:
    """Features less their mean over the examples; those that are constant up to rounding are exactly 0."""
    moved = features - features.mean(0)
    rounding = 10 * jnp.finfo(features.dtype).eps * jnp.abs(features).max(0)
    return jnp.where(jnp.abs(moved).max(0) > rounding, moved, 0)


def product(first: Float[Array, "a b"], second: Float[Array, "b c"]) -> Float[Array, "a c"]:
    """A matrix product in float32 on every device; accelerators round its inputs to fewer bits otherwise."""
    return jnp.matmul(first, second, precision=jax.lax.Precision.HIGHEST)


def squared_distances(features: Float[Array, "examples size"]) -> Float[Array, "examples examples"]:
    """||x_i - x_j||^2 of all pairs, exactly 0 on the diagonal.

    >>> squared_distances(jnp.array([[0.0, 0.0], [3.0, 4.0]])).tolist()
    [[0.0, 25.0], [25.0, 0.0]]
    """
    # Far from the origin the difference of norms and products would cancel.
    moved = centred(features)
    norms = jnp.sum(jnp.square(moved), axis=1)
    squared = jnp.maximum(norms[:, None] + norms - 2 * product(moved, moved.T), 0)
    return jnp.where(jnp.eye(len(features), dtype=bool), 0, squared)


def off_diagonal(matrix: Float[Array, "examples examples"]) -> Float[Array, " pairs"]:
    """All entries but those of the diagonal, so that of a symmetric matrix every pair stands there twice.

    >>> off_diagonal(jnp.array([[0.0, 1.0], [2.0, 0.0]])).tolist()
    [1.0, 2.0]
    """
    count = len(matrix)
    return matrix.reshape(-1)[1:].reshape(count - 1, count + 1)[:, :-1].reshape(-1)


def check_features(argument: str, features: Float[Array, "examples size"], needed: int) -> None:
    """Checks features before anything is compiled for them.

    Args:
        argument: their name, for the message.
        features: [examples, size].
        needed: the smallest number of examples.
    Raises:
        ArgumentError: they are of too few examples, or hold NaN or infinity.
    """
    if len(features) < needed:
        problem = f"are of {len(features)} examples but must be of at least {needed}"
        raise ArgumentError(argument, problem, "give more examples")
    finite = jnp.isfinite(features).all(1)
    if not bool(finite.all()):
        problem = f"hold NaN or infinity for {int((~finite).sum())} of {len(features)} examples but must be finite"
        raise ArgumentError(argument, problem, "leave such a network out")
