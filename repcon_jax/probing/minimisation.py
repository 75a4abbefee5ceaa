"""Convex objectives of a linear classifier, minimised to convergence on the device."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.lax.linalg import triangular_solve
from jaxtyping import Array, Bool, Float, Int, Scalar

from repcon_jax.typing import Params


class Fit(NamedTuple):
    """A fitted classifier and how the solver ended."""

    classifier: Params
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]


@jax.jit
def second_moment(features: Float[Array, "examples features"]) -> Float[Array, "features features"]:
    """The mean of x x^T over the examples, with which the solvers of linear readers are preconditioned."""
    return jnp.dot(features.T, features, precision=jax.lax.Precision.HIGHEST) / features.shape[0]


def minimise(
    loss: Callable[[Params], Float[Array, ""]],
    penalty: float | Scalar,
    start: Params,
    factor: Float[Array, "features features"] | None,
    max_iterations: int | Scalar,
    tolerance: float | Scalar,
) -> Fit:
    """Minimises loss + penalty ||kernel||^2 / 2 with L-BFGS; it may be traced.

    With a factor L the solver moves V = L^T kernel, which saves most of the iterations where L L^T is near the Hessian.

    Args:
        loss: classifier -> value, convex and differentiable.
        penalty: its strength.
        start: classifier to start from.
        factor: see ``hessian_factor``, or None for no preconditioning.
        max_iterations: of L-BFGS.
        tolerance: the largest entry of the gradient (by kernel and bias) at which the solver stops.
    """
    solver = optax.lbfgs()
    # Once a fit; solving in every step would cost more than the products with the features.
    inverse = None if factor is None else triangular_solve(factor, jnp.eye(factor.shape[0]), left_side=True, lower=True)

    def classifier_of(variables: Params) -> Params:
        return variables | {"kernel": _times(variables["kernel"], inverse).T}

    def value_of(variables: Params) -> Float[Array, ""]:
        # The penalty apart from the classifier: XLA then computes the gradient of features @ kernel as
        # [classes, features], which is five times as fast on a CPU for many examples and few classes.
        size = jnp.sum(jnp.square(_times(variables["kernel"], inverse)))
        return loss(classifier_of(variables)) + 0.5 * penalty * size

    value_and_grad = optax.value_and_grad_from_state(value_of)

    def gradient_size(opt_state: optax.OptState) -> Float[Array, ""]:
        gradient = optax.tree.get(opt_state, "grad")
        kernel = _times(gradient["kernel"], None if factor is None else factor.T)
        return jnp.maximum(jnp.max(jnp.abs(kernel)), jnp.max(jnp.abs(gradient["bias"])))

    def is_unfinished(carry: tuple[Params, optax.OptState]) -> Bool[Array, ""]:
        iterations = optax.tree.get(carry[1], "count")
        return (iterations == 0) | ((iterations < max_iterations) & (gradient_size(carry[1]) > tolerance))

    def iterate(carry: tuple[Params, optax.OptState]) -> tuple[Params, optax.OptState]:
        variables, opt_state = carry
        value, gradient = value_and_grad(variables, state=opt_state)
        updates, opt_state = solver.update(
            gradient, opt_state, variables, value=value, grad=gradient, value_fn=value_of
        )
        return optax.apply_updates(variables, updates), opt_state

    begin = start | {"kernel": _times(start["kernel"].T, factor)}
    variables, opt_state = jax.lax.while_loop(is_unfinished, iterate, (begin, solver.init(begin)))
    iterations = optax.tree.get(opt_state, "count")
    return Fit(classifier_of(variables), iterations, gradient_size(opt_state) <= tolerance)


def hessian_factor(
    moment: Float[Array, "features features"] | None, curvature: float | Scalar, penalty: float | Scalar
) -> Float[Array, "features features"] | None:
    """The Cholesky factor L of a model of the Hessian, L L^T = curvature * moment + penalty * I; None without a moment.

    Args:
        moment: ``second_moment`` of the features.
        curvature: second derivative of the loss by a logit where it is typical.
        penalty: the strength of ||kernel||^2 / 2.
    """
    if moment is None:
        return None
    hessian = curvature * moment
    # The trace bounds the largest eigenvalue: with this much on the diagonal a float32 Cholesky cannot break down.
    rounding = jnp.finfo(moment.dtype).eps * jnp.trace(hessian)
    return jnp.linalg.cholesky(hessian + (penalty + rounding) * jnp.eye(moment.shape[0]))


def _times(
    kernel: Float[Array, "classes features"], matrix: Float[Array, "features features"] | None
) -> Float[Array, "classes features"]:
    return kernel if matrix is None else jnp.matmul(kernel, matrix, precision=jax.lax.Precision.HIGHEST)
