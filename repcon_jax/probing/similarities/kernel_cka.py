"""Centred kernel alignment with Gaussian kernels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.probing.pairwise import off_diagonal, squared_distances
from repcon_jax.probing.similarity import SIMILARITIES, Similarity
from repcon_jax.records.scores import Score
from repcon_jax.typing import Scalar


@SIMILARITIES.register("kernel_cka")
def build_kernel_cka(*, bandwidth: float = 0.8) -> Similarity:
    """CKA with Gaussian kernels, see ``kernel_cka``.

    Args:
        bandwidth: of the kernel, as a fraction of the median distance of two examples.
    Raises:
        ArgumentError: the bandwidth is not positive.
    """
    check_range("bandwidth", bandwidth, 0, open_low=True)
    about = f"with Gaussian kernels of a bandwidth of {bandwidth:g} of the median distance"
    return Similarity(lambda first, second, key: kernel_cka(first, second, bandwidth), Score("kernel CKA", about=about))


@jax.jit
def kernel_cka(
    first: Float[Array, "examples size"], second: Float[Array, "examples other"], bandwidth: Scalar = 0.8
) -> Float[Array, ""]:
    """Centred kernel alignment with Gaussian kernels, in [0, 1]; it sees that near examples stay near.

        CKA = <K', L'> / (||K'||_F ||L'||_F),   K' = H K H,   H = I - 1/n,   K_ij = exp(-||x_i - x_j||^2 / 2 s^2)

    and L likewise of the second features, s being a fraction of the median distance within the same features. Memory
    is a few times examples^2 * 4 bytes.

    Args:
        first, second: features of the same examples, of any two sizes; NaN where more than half of all pairs of
            examples have the same features.
        bandwidth: that fraction, above 0.

    Source: Kornblith et al. (arXiv 1905.00414), section 3; their table 2 has the bandwidths 0.2, 0.4 and 0.8.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0], [1.0, 1.0]])
    >>> round(float(kernel_cka(x, 5 * x[:, ::-1] + 1)), 5)
    1.0
    """
    first_kernel, second_kernel = (_centred_kernel(features, bandwidth) for features in (first, second))
    cross = jnp.sum(first_kernel * second_kernel)
    return cross / (jnp.linalg.norm(first_kernel) * jnp.linalg.norm(second_kernel))


def _centred_kernel(features: Float[Array, "examples size"], bandwidth: Scalar) -> Float[Array, "examples examples"]:
    squared = squared_distances(features)
    width = bandwidth * jnp.median(jnp.sqrt(off_diagonal(squared)))
    kernel = jnp.exp(-squared / (2 * width**2))
    means = kernel.mean(0)
    return kernel - means - means[:, None] + means.mean()
