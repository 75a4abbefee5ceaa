"""How long features are."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore
from repcon_jax.records.scores import Score


@GEOMETRY_SCORES.register("feature_norm")
def build_feature_norm() -> GeometryScore:
    """The mean length, see ``feature_norm``."""
    return GeometryScore(feature_norm, Score("feature norm", scale="log"))


@jax.jit
def feature_norm(features: Features) -> Float[Array, ""]:
    """The mean Euclidean norm of an example's features: 1/n sum_i ||x_i||.

    Args:
        features: [examples, size].

    >>> float(feature_norm(jnp.array([[3.0, 4.0], [0.0, 1.0]])))
    3.0
    """
    return jnp.mean(jnp.linalg.norm(features, axis=1))
