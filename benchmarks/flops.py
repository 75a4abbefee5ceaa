"""Floating-point operations of the matrix products and convolutions of a traced function."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax

from repcon_jax.models.kernels.direct_convolution import OPERANDS


def matmul_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Twice the multiply-adds of every product and convolution; the body of a loop counts once, hence one step.

    >>> import jax.numpy as jnp
    >>> matmul_flops(lambda a, b: jnp.tanh(a @ b), jnp.zeros((2, 3)), jnp.zeros((3, 4)))
    48
    """
    return sum(map(_flops, _equations(jax.make_jaxpr(function)(*arguments).jaxpr)))


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(inner):
                yield from _equations(getattr(inner, "jaxpr", inner))


def _is_program(value: Any) -> bool:
    return hasattr(getattr(value, "jaxpr", value), "eqns")


def _flops(equation: Any) -> int:
    name = equation.primitive.name
    if name == "dot_general":
        contracted = equation.params["dimension_numbers"][0][0]
        sizes = equation.invars[0].aval.shape
        return 2 * equation.outvars[0].aval.size * math.prod(sizes[axis] for axis in contracted)
    if name == "conv_general_dilated":
        # A strided convolution's gradient spreads its input with zeros, which are no work.
        spread = math.prod(equation.params["lhs_dilation"])
        return 2 * equation.outvars[0].aval.size * _kernel_size(equation) // spread
    if name == "direct_convolution":
        wanted = equation.params["wanted"]
        parts = (*OPERANDS[wanted], wanted)
        sizes = dict(zip(parts, (v.aval for v in (*equation.invars, *equation.outvars)), strict=True))
        return 2 * sizes["maps"].size * math.prod(sizes["kernel"].shape[:3])
    return 0


def _kernel_size(equation: Any) -> int:
    """Multiply-adds of one output: every entry of the kernel that belongs to its channel."""
    kernel = equation.invars[1].aval
    outputs = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
    return kernel.size // outputs
