"""Features as a penalised linear reader wants them, without a change of what it can find."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.span import reduce_to_span
from repcon_jax.probing.standardisation import Normalisation, normalise_features


class Prepared(NamedTuple):
    """Both sets as the solver sees them.

    Attributes:
        train: [train, reduced].
        test: [test, reduced].
        scale: of the features before they were divided by it; a fit with C to the features as they were is one with
            C * scale^2 to these.
    """

    train: Float[Array, "train reduced"]
    test: Float[Array, "test reduced"]
    scale: Float[Array, ""]


@partial(jax.jit, static_argnames="normalisation")
def prepare_features(
    train: Float[Array, "train features"], test: Float[Array, "test features"], normalisation: Normalisation
) -> Prepared:
    """Normalises, and then changes the coordinates so that a solver converges soon and its tolerance means the same.

    What follows the normalisation leaves all logits of the optimum as they are, where the bias is free and the kernel
    is penalised by its norm: the features' mean goes into the bias, their size into C, and what is outside the span of
    the training examples has no part, see ``reduce_to_span``.

    Args:
        train: [train, features].
        test: [test, features].
        normalisation: see ``normalise_features``.
    """
    train, test = normalise_features(train, test, normalisation)
    scale = jnp.ones(())
    if normalisation != "standardise":
        mean = jnp.mean(train, axis=0)
        size = jnp.sqrt(jnp.mean(jnp.square(train - mean)))
        # A collapsed encoder's rounding is no signal that may be blown up, as for ``standardise``.
        scale = jnp.where(size > 10.0 * jnp.finfo(train.dtype).eps * jnp.max(jnp.abs(train)), size, 1.0)
        train, test = (train - mean) / scale, (test - mean) / scale
    return Prepared(*reduce_to_span(train, test), scale)
