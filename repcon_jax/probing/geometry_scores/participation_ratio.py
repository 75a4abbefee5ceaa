"""The participation ratio: in how many directions features vary, by the eigenvalues of their covariance."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore
from repcon_jax.probing.pairwise import centred, product
from repcon_jax.records.scores import Score


@GEOMETRY_SCORES.register("participation_ratio")
def build_participation_ratio() -> GeometryScore:
    """The participation ratio, see ``participation_ratio``."""
    return GeometryScore(participation_ratio, Score("participation ratio"))


@jax.jit
def participation_ratio(features: Features) -> Float[Array, ""]:
    """The number of equal eigenvalues that would spread the variance as much, in [1, min(examples, size)].

        (sum_i l_i)^2 / sum_i l_i^2 = tr(C)^2 / ||C||_F^2,   l: eigenvalues of the covariance C

    Large directions weigh more than in ``effective_rank``.

    Args:
        features: [examples, size]; NaN where they are constant.

    Source: Gao et al., A theory of multineuronal dimensionality (bioRxiv 214262).

    >>> round(float(participation_ratio(jnp.array([[1.0, 0.0], [2.0, 0.0], [5.0, 0.0]]))), 4)
    1.0
    """
    moved = centred(features)
    # C and the Gram matrix of examples have the same eigenvalues; the factor cancels. The smaller matrix is taken.
    moments = product(moved.T, moved) if moved.shape[1] <= moved.shape[0] else product(moved, moved.T)
    return jnp.square(jnp.trace(moments)) / jnp.sum(jnp.square(moments))
