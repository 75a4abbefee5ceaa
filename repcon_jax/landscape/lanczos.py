"""The Lanczos iteration: a large symmetric matrix, known by its products with vectors, as a small tridiagonal one."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.random import stream
from repcon_jax.typing import Key

# A remainder this small, relative to the matrix, is rounding: the vectors so far span an invariant subspace.
_BREAKDOWN = 10 * float(jnp.finfo(jnp.float32).eps)


class Tridiagonal(NamedTuple):
    """The matrix in the basis of the iteration, basis A basis^T.

    Attributes:
        diagonal: [iterations].
        off_diagonal: [iterations - 1]; 0 where an invariant subspace was complete and a fresh vector was taken.
        basis: orthonormal rows, [iterations, size].
    """

    diagonal: Float[Array, " iterations"]
    off_diagonal: Float[Array, " others"]
    basis: Float[Array, "iterations size"]

    def dense(self) -> Float[Array, "iterations iterations"]:
        """The tridiagonal matrix with its zeros."""
        return jnp.diag(self.diagonal) + jnp.diag(self.off_diagonal, 1) + jnp.diag(self.off_diagonal, -1)


def lanczos(
    product: Callable[[Float[Array, " size"]], Float[Array, " size"]], key: Key, size: int, iterations: int
) -> Tridiagonal:
    """The Lanczos iteration with full reorthogonalisation, as one compiled loop.

        beta_i q_(i+1) = A q_i - alpha_i q_i - beta_(i-1) q_(i-1),   alpha_i = q_i^T A q_i

    Every remainder is made orthogonal to all vectors so far, twice, which float32 needs. Where it vanishes, because
    the vectors span an invariant subspace, a random vector orthogonal to them continues, so that nothing is divided
    by 0 and repeated eigenvalues are found as often as they occur.

    Args:
        product: v -> A v for a symmetric A, traced once.
        key: of the random first vector, and of the fresh ones.
        size: length of the vectors.
        iterations: products to compute, from 1 to ``size``; the basis takes 4 * iterations * size bytes.
    Raises:
        ArgumentError: iterations is out of range.

    Source: Lanczos (1950), J. Res. Natl. Bur. Stand. 45; reorthogonalisation twice as in Giraud et al. (2005),
    Numer. Math. 101.
    """
    check_range("iterations", iterations, 1, size)

    def fresh(basis: Array, index: Array) -> Array:
        vector = jax.random.normal(stream(key, "lanczos", index), (size,))
        vector = _orthogonalise(vector, basis)
        return vector / jnp.linalg.norm(vector)

    def step(carry: tuple[Array, Array, Array], index: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
        basis, vector, scale = carry
        basis = basis.at[index].set(vector)
        image = product(vector)
        alpha = jnp.vdot(vector, image, precision=jax.lax.Precision.HIGHEST)
        rest = _orthogonalise(image, basis)
        beta = jnp.linalg.norm(rest)
        scale = jnp.maximum(scale, jnp.hypot(alpha, beta))
        is_complete = beta <= _BREAKDOWN * scale
        following = jax.lax.cond(is_complete, lambda: fresh(basis, index + 1), lambda: rest / beta)
        return (basis, following, scale), (alpha, jnp.where(is_complete, 0.0, beta))

    empty = jnp.zeros((iterations, size))
    start = (empty, fresh(empty, jnp.int32(0)), jnp.float32(0))
    (basis, _, _), (alphas, betas) = jax.lax.scan(step, start, jnp.arange(iterations))
    return Tridiagonal(alphas, betas[:-1], basis)


def _orthogonalise(vector: Float[Array, " size"], basis: Float[Array, "iterations size"]) -> Float[Array, " size"]:
    # At the highest precision because a GPU would take TensorFloat-32, of 10 bits, for a product by default.
    for _ in range(2):
        parts = jnp.matmul(basis, vector, precision=jax.lax.Precision.HIGHEST)
        vector = vector - jnp.matmul(parts, basis, precision=jax.lax.Precision.HIGHEST)
    return vector
