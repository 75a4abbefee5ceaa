"""Canonical correlation analysis."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from repcon_jax.errors import check_range
from repcon_jax.probing.pairwise import centred, product
from repcon_jax.probing.similarity import SIMILARITIES, Similarity
from repcon_jax.records.scores import Score
from repcon_jax.typing import Scalar


@SIMILARITIES.register("cca")
def build_cca(*, tolerance: float = 1e-5) -> Similarity:
    """The mean canonical correlation, see ``cca``.

    Args:
        tolerance: singular values of the features below this share of the largest count as zero.
    Raises:
        ArgumentError: the tolerance does not lie in [0, 1).
    """
    check_range("tolerance", tolerance, 0, 1, open_high=True)
    return Similarity(lambda first, second, key: cca(first, second, tolerance), Score("mean canonical correlation"))


@jax.jit
def cca(
    first: Float[Array, "examples size"], second: Float[Array, "examples other"], tolerance: Scalar = 1e-5
) -> Float[Array, ""]:
    """The mean canonical correlation, in [0, 1]; 1 where one representation is an invertible linear map of the other.

        mean_i rho_i,   rho = singular values of U^T V,   i up to the smaller of the two ranks

    where the columns of U and V are orthonormal and span the columns of the centred features. Where there are no more
    examples than features it is 1, whatever the features are: it needs several times as many.

    Args:
        first, second: features of the same examples, of any two sizes; NaN where one of them is constant.
        tolerance: singular values of the features below this share of the largest count as zero.

    Source: Kornblith et al. (arXiv 1905.00414), section 5 and table 1.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0], [1.0, 1.0]])
    >>> round(float(cca(x, x @ jnp.array([[1.0, 2.0], [0.0, 3.0]]))), 5)
    1.0
    """

    def basis(features: Array) -> tuple[Array, Array]:
        directions, values = left_singular_vectors(features)
        return directions, values > tolerance * values[0]

    return mean_correlation(*basis(first), *basis(second))


def left_singular_vectors(
    features: Float[Array, "examples size"],
) -> tuple[Float[Array, "examples rank"], Float[Array, " rank"]]:
    """Left singular vectors and singular values of the centred features, the largest first."""
    directions, values, _ = jnp.linalg.svd(centred(features), full_matrices=False)
    return directions, values


def mean_correlation(
    first: Float[Array, "examples rank"],
    first_kept: Bool[Array, " rank"],
    second: Float[Array, "examples other"],
    second_kept: Bool[Array, " other"],
) -> Float[Array, ""]:
    """The mean canonical correlation of two spaces.

    Args:
        first, second: orthonormal columns.
        first_kept, second_kept: which of them span the spaces.
    """
    cross = product((first * first_kept).T, second * second_kept)
    correlations = jnp.minimum(jnp.linalg.svd(cross, compute_uv=False), 1.0)
    return correlations.sum() / jnp.minimum(first_kept.sum(), second_kept.sum())
