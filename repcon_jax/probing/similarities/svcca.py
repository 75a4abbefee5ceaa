"""Canonical correlation analysis of the directions in which features vary most."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.probing.similarities.cca import left_singular_vectors, mean_correlation
from repcon_jax.probing.similarity import SIMILARITIES, Similarity
from repcon_jax.records.scores import Score
from repcon_jax.typing import Scalar


@SIMILARITIES.register("svcca")
def build_svcca(*, variance: float = 0.99) -> Similarity:
    """The mean canonical correlation of the main directions, see ``svcca``.

    Args:
        variance: share of the variance that is kept.
    Raises:
        ArgumentError: the share does not lie in (0, 1].
    """
    check_range("variance", variance, 0, 1, open_low=True)
    score = Score("SVCCA", about=f"the mean canonical correlation within {variance:.4g} of the variance")
    return Similarity(lambda first, second, key: svcca(first, second, variance), score)


@jax.jit
def svcca(
    first: Float[Array, "examples size"], second: Float[Array, "examples other"], variance: Scalar = 0.99
) -> Float[Array, ""]:
    """The mean canonical correlation of the fewest principal directions that hold a share of the variance, in [0, 1].

        mean_i rho_i,   rho = singular values of U_k^T V_l,   i up to min(k, l)

    where U_k and V_l hold the first left singular vectors of the centred features.

    Args:
        first, second: features of the same examples, of any two sizes; NaN where one of them is constant.
        variance: the share, in (0, 1].

    Source: Raghu et al., SVCCA (arXiv 1706.05806), section 2.
    """

    def basis(features: Array) -> tuple[Array, Array]:
        directions, values = left_singular_vectors(features)
        shares = jnp.square(values) / jnp.sum(jnp.square(values))
        before = jnp.cumsum(shares) - shares
        return directions, before < variance

    return mean_correlation(*basis(first), *basis(second))
