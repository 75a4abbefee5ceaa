"""Derivatives of losses with respect to parameter trees, with the memory of one batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.typing import Params, PyTree

Loss = Callable[[Params], Float[Array, ""]]


def batched(loss: Callable[[Params, PyTree], Float[Array, ""]], batches: PyTree) -> Loss:
    """The mean over batches of a loss, as a function of the parameters that holds one batch's activations at a time.

    It is a loop whose body is computed again on the way back, so gradients and Hessian products of it also take the
    memory of one batch.

    Args:
        loss: (params, batch) -> loss, a mean over the batch.
        batches: tree whose leaves have a leading axis of batches, all of one size.
    """

    def mean(params: Params) -> Float[Array, ""]:
        @jax.checkpoint
        def add(total: Float[Array, ""], batch: PyTree) -> tuple[Float[Array, ""], None]:
            return total + loss(params, batch), None

        return jax.lax.scan(add, jnp.float32(0), batches)[0] / len(jax.tree.leaves(batches)[0])

    return mean


def hessian_vector_product(loss: Loss, params: Params, vector: PyTree) -> PyTree:
    """H v for the Hessian H of a loss: the derivative of the gradient along v, forward over reverse mode.

    Args:
        loss: params -> scalar, twice differentiable. On a GPU compute it at full float32 precision.
        params: where.
        vector: v, a tree of the structure and types of ``params``.

    Source: Pearlmutter (1994), Fast exact multiplication by the Hessian, equation 1.

    >>> hessian_vector_product(lambda x: x[0] ** 2 * x[1], jnp.array([1.0, 3.0]), jnp.array([1.0, 0.0])).tolist()
    [6.0, 2.0]
    """
    return jax.jvp(jax.grad(loss), (params,), (vector,))[1]
