"""Products of matrices in the form that XLA's CPU backend computes fast."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float


def linear_map(inputs: Float[Array, "*batch size"], kernel: Float[Array, "size features"], precision: Any) -> Array:
    """``inputs @ kernel`` as one product of two matrices, whatever the axes of the batch.

    Over several axes the derivative by the kernel would contract them all. XLA's CPU backend then transposes what is
    contracted and fuses into that transpose, layer by layer anew, all that a residual stream's cotangent was summed
    from.

    Args:
        inputs: [..., size].
        kernel: [size, features].
        precision: of the product, as in ``jax.lax.dot``.
    Returns:
        [..., features].

    >>> linear_map(jnp.ones((2, 5, 3)), jnp.ones((3, 4)), None).shape
    (2, 5, 4)
    """
    *batch, size = inputs.shape
    outputs = jnp.matmul(inputs.reshape(math.prod(batch), size), kernel, precision=precision)
    return outputs.reshape(*batch, kernel.shape[1])
