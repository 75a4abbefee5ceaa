"""Curvature of a loss: products with its Hessian, and its leading eigenvalues and trace through these alone."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from repcon_jax.derivatives import Loss, hessian_vector_product
from repcon_jax.errors import check_range
from repcon_jax.landscape.lanczos import lanczos
from repcon_jax.random import stream
from repcon_jax.trees import dot, map_named
from repcon_jax.typing import Key, Params, PyTree


class Eigenpairs(NamedTuple):
    """Approximate eigenvalues and eigenvectors of a Hessian H.

    Attributes:
        values: [count], in the order asked for.
        vectors: tree of the parameters' structure with a leading axis, [count, ...]; each of norm 1.
        residuals: ||H v - value v|| of each pair, [count]; an eigenvalue of H lies within it of the value.
    """

    values: Float[Array, " count"]
    vectors: PyTree
    residuals: Float[Array, " count"]


class Estimate(NamedTuple):
    """A mean over independent draws.

    Attributes:
        mean: the estimate.
        standard_error: sample standard deviation / sqrt(draws); NaN for a single draw.
    """

    mean: Float[Array, ""]
    standard_error: Float[Array, ""]


def leading_eigenpairs(
    loss: Loss,
    params: Params,
    key: Key,
    *,
    count: int = 1,
    iterations: int = 30,
    order: Literal["magnitude", "algebraic"] = "magnitude",
) -> Eigenpairs:
    """The leading eigenvalues and eigenvectors of a loss's Hessian, by the Lanczos iteration.

    It computes ``iterations + count`` products. The largest eigenvalues converge first; ``residuals`` says how far.

    Args:
        loss, params: as in ``hessian_vector_product``.
        key: of the first vector.
        count: number of pairs, at most the number of parameters.
        iterations: at least ``count``; more than there are parameters changes nothing.
        order: ``"magnitude"`` for the largest |value| first, ``"algebraic"`` for the largest value first.
    Raises:
        ArgumentError: count or iterations is out of range.

    Source: Hessian-based analysis of large batch training (arXiv 1802.08241), with Lanczos for power iteration.
    """
    flat, unravel = ravel_pytree(params)
    check_range("count", count, 1, flat.size)
    check_range("iterations", iterations, count)

    def product(vector: Float[Array, " size"]) -> Float[Array, " size"]:
        return ravel_pytree(hessian_vector_product(loss, params, unravel(vector)))[0]

    small = lanczos(product, key, flat.size, min(iterations, flat.size))
    values, weights = jnp.linalg.eigh(small.dense())
    chosen = jnp.argsort(-(jnp.abs(values) if order == "magnitude" else values))[:count]
    values = values[chosen]
    vectors = jnp.matmul(weights[:, chosen].T, small.basis, precision=jax.lax.Precision.HIGHEST)
    vectors /= jnp.linalg.norm(vectors, axis=1, keepdims=True)
    residuals = jax.lax.map(lambda pair: jnp.linalg.norm(product(pair[1]) - pair[0] * pair[1]), (values, vectors))
    return Eigenpairs(values, jax.vmap(unravel)(vectors), residuals)


def hessian_trace(loss: Loss, params: Params, key: Key, samples: int = 100) -> Estimate:
    """The trace of a loss's Hessian, from random signs (Hutchinson's estimator).

        tr H = E[z^T H z],   z_i = +1 or -1 with probability 1/2 each

    It is exact for a diagonal Hessian; its variance is 2 sum_(i != j) H_ij^2 per sample.

    Args:
        loss, params: as in ``hessian_vector_product``.
        key: of the signs.
        samples: number of draws and of products, one after another.

    Source: Hutchinson (1989), A stochastic estimator of the trace; for networks PyHessian (arXiv 1912.07145),
    section 3.
    """

    def sample(key: Key) -> Float[Array, ""]:
        signs = map_named(lambda name, leaf: jax.random.rademacher(stream(key, name), leaf.shape, leaf.dtype), params)
        return dot(signs, hessian_vector_product(loss, params, signs))

    return estimate(jax.lax.map(sample, jax.random.split(key, samples)))


def estimate(draws: Float[Array, " draws"]) -> Estimate:
    """The mean of independent draws and its standard error."""
    return Estimate(jnp.mean(draws), jnp.std(draws, ddof=1) / jnp.sqrt(len(draws)))
