"""Whether examples are spread over the sphere."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.errors import check_range
from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore
from repcon_jax.probing.standardisation import normalise_features
from repcon_jax.records.scores import Score
from repcon_jax.typing import Scalar


@GEOMETRY_SCORES.register("uniformity")
def build_uniformity(*, sharpness: float = 2.0, chunk_size: int = 256) -> GeometryScore:
    """How evenly examples are spread over the sphere, see ``uniformity``.

    Args:
        sharpness: of the Gaussian potential, t.
        chunk_size: examples whose distances are held at once.
    Raises:
        ArgumentError: a number is not positive.
    """
    check_range("sharpness", sharpness, 0, open_low=True)
    check_range("chunk_size", chunk_size, 1)
    score = Score("uniformity", higher_is_better=False, about="the more negative, the more evenly spread")
    return GeometryScore(lambda features: uniformity(features, sharpness, chunk_size), score)


@partial(jax.jit, static_argnames=("chunk_size",))
def uniformity(features: Features, sharpness: Scalar = 2.0, chunk_size: int = 256) -> Float[Array, ""]:
    """The logarithm of the mean Gaussian potential of two different examples, of features of length 1; in [-4 t, 0].

        log mean_{i != j} exp(-t ||x_i - x_j||^2),   ||x_i|| = 1

    Args:
        features: [examples, size], at least two; features that are all 0 stay so.
        sharpness: t.
        chunk_size: examples whose distances are held at once; memory is chunk_size * examples * 4 bytes.

    Source: Wang and Isola (arXiv 2005.10242), section 4.1, with t = 2.

    >>> round(float(uniformity(jnp.array([[1.0, 0.0], [-3.0, 0.0]]))), 4)
    -8.0
    """
    units = normalise_features(features, features, "l2")[0]
    places = jnp.arange(len(units))

    def potential(place: Int[Array, ""]) -> Float[Array, ""]:
        squared = jnp.sum(jnp.square(units[place])) + jnp.sum(jnp.square(units), axis=1)
        squared -= 2 * jnp.dot(units, units[place], precision=jax.lax.Precision.HIGHEST)
        exponents = jnp.where(places == place, -jnp.inf, -sharpness * jnp.maximum(squared, 0))
        return jax.nn.logsumexp(exponents)

    pairs = len(units) * (len(units) - 1)
    return jax.nn.logsumexp(jax.lax.map(potential, places, batch_size=chunk_size)) - jnp.log(float(pairs))
