"""How alike two representations of the same examples are."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.jit
def linear_cka(first: Float[Array, "examples size"], second: Float[Array, "examples other"]) -> Float[Array, ""]:
    """Centred kernel alignment with linear kernels, in [0, 1]; 1 for features that differ by a rotation and a factor.

        CKA(X, Y) = ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F),   columns of X and Y centred

    Args:
        first, second: features of the same examples, of any two sizes.

    Source: Kornblith et al., Similarity of Neural Network Representations Revisited (arXiv 1905.00414), section 3.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    >>> round(float(linear_cka(x, 5 * x[:, ::-1] + 1)), 5)
    1.0
    """
    first, second = first - first.mean(0), second - second.mean(0)

    def product(a: Array, b: Array) -> Float[Array, ""]:
        return jnp.linalg.norm(jnp.matmul(a.T, b, precision=jax.lax.Precision.HIGHEST))

    return product(first, second) ** 2 / (product(first, first) * product(second, second))
