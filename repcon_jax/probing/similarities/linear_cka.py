"""Centred kernel alignment with linear kernels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.pairwise import centred, product
from repcon_jax.probing.similarity import SIMILARITIES, Similarity
from repcon_jax.records.scores import Score


@SIMILARITIES.register("linear_cka")
def build_linear_cka() -> Similarity:
    """Linear CKA, see ``linear_cka``."""
    return Similarity(lambda first, second, key: linear_cka(first, second), Score("linear CKA"))


@jax.jit
def linear_cka(first: Float[Array, "examples size"], second: Float[Array, "examples other"]) -> Float[Array, ""]:
    """Centred kernel alignment with linear kernels, in [0, 1]; 1 for features that differ by a rotation and a factor.

        CKA(X, Y) = ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F),   columns of X and Y centred

    With few examples for their size even unrelated features look alike; ``minibatch_cka`` corrects that.

    Args:
        first, second: features of the same examples, of any two sizes; NaN where one of them is constant.

    Source: Kornblith et al., Similarity of Neural Network Representations Revisited (arXiv 1905.00414), section 3.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    >>> round(float(linear_cka(x, 5 * x[:, ::-1] + 1)), 5)
    1.0
    """
    first, second = centred(first), centred(second)

    def norm_of_product(a: Array, b: Array) -> Float[Array, ""]:
        return jnp.linalg.norm(product(a.T, b))

    cross = norm_of_product(first, second)
    return cross**2 / (norm_of_product(first, first) * norm_of_product(second, second))
