"""Multinomial logistic regression with an L2 penalty, solved to convergence on the device."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int, Scalar

from repcon_jax.losses import softmax_cross_entropies_with_labels
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.typing import Params


class Fit(NamedTuple):
    """A fitted classifier and how the solver ended."""

    classifier: Params
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]


@jax.jit
def second_moment(features: Float[Array, "examples features"]) -> Float[Array, "features features"]:
    """The mean of x x^T over the examples, with which ``fit_logistic_regression`` is preconditioned."""
    return jnp.dot(features.T, features, precision=jax.lax.Precision.HIGHEST) / features.shape[0]


@jax.jit
def fit_logistic_regression(
    start: Params,
    features: Float[Array, "examples features"],
    labels: Int[Array, " examples"],
    weights: Float[Array, " examples"],
    C: float | Scalar,
    moment: Float[Array, "features features"] | None = None,
    *,
    max_iterations: int | Scalar = 500,
    tolerance: float | Scalar = 1e-4,
) -> Fit:
    """Minimises C sum_n weight_n loss_n + ||kernel||^2 / 2 with L-BFGS; the bias is not penalised.

    The solver sees the objective divided by C sum_n weight_n, so that the tolerance means the same for every C.
    With a second moment M it moves V = L^T kernel, where L L^T = M / classes + I / (C sum_n weight_n) is the Hessian
    at equal class probabilities. Where features are correlated and classes overlap, as for networks and pixels, this
    saves most of the iterations.

    Args:
        start: classifier to start from, such as the fit at a neighbouring C.
        features, labels: [examples, features] and [examples].
        weights: weight of each example, [examples]; 0 leaves it out.
        C: inverse strength of the penalty, as scikit-learn's LogisticRegression counts it.
        moment: ``second_moment`` of the features, or None for no preconditioning.
        max_iterations: of L-BFGS.
        tolerance: the largest entry of the gradient (by kernel and bias) at which the solver stops.
    """
    penalty = 1.0 / (C * jnp.sum(weights))
    factor = None if moment is None else _hessian_factor(moment, penalty, start["bias"].shape[0])

    def objective(variables: Params) -> Float[Array, ""]:
        classifier = _to_classifier(variables, factor)
        losses = softmax_cross_entropies_with_labels(linear_logits(classifier, features), labels)
        mean_loss = jnp.sum(weights * losses) / jnp.sum(weights)
        return mean_loss + 0.5 * penalty * jnp.sum(jnp.square(classifier["kernel"]))

    variables, iterations, gradient_size = _minimise(
        objective, _to_variables(start, factor), factor, max_iterations, tolerance
    )
    return Fit(_to_classifier(variables, factor), iterations, gradient_size <= tolerance)


def _minimise(
    objective: Callable[[Params], Float[Array, ""]],
    start: Params,
    factor: Float[Array, "features features"] | None,
    max_iterations: int | Scalar,
    tolerance: float | Scalar,
) -> tuple[Params, Int[Array, ""], Float[Array, ""]]:
    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(objective)

    def gradient_size(opt_state: optax.OptState) -> Float[Array, ""]:
        gradient = optax.tree.get(opt_state, "grad")
        kernel = gradient["kernel"] if factor is None else factor @ gradient["kernel"]
        return jnp.maximum(jnp.max(jnp.abs(kernel)), jnp.max(jnp.abs(gradient["bias"])))

    def is_unfinished(carry: tuple[Params, optax.OptState]) -> Bool[Array, ""]:
        iterations = optax.tree.get(carry[1], "count")
        return (iterations == 0) | ((iterations < max_iterations) & (gradient_size(carry[1]) > tolerance))

    def iterate(carry: tuple[Params, optax.OptState]) -> tuple[Params, optax.OptState]:
        variables, opt_state = carry
        value, gradient = value_and_grad(variables, state=opt_state)
        updates, opt_state = solver.update(
            gradient, opt_state, variables, value=value, grad=gradient, value_fn=objective
        )
        return optax.apply_updates(variables, updates), opt_state

    variables, opt_state = jax.lax.while_loop(is_unfinished, iterate, (start, solver.init(start)))
    return variables, optax.tree.get(opt_state, "count"), gradient_size(opt_state)


def _hessian_factor(
    moment: Float[Array, "features features"], penalty: Float[Array, ""], num_classes: int
) -> Float[Array, "features features"]:
    hessian = moment / num_classes
    # The trace bounds the largest eigenvalue: with this much on the diagonal a float32 Cholesky cannot break down.
    rounding = jnp.finfo(moment.dtype).eps * jnp.trace(hessian)
    return jnp.linalg.cholesky(hessian + (penalty + rounding) * jnp.eye(moment.shape[0]))


def _to_classifier(variables: Params, factor: Float[Array, "features features"] | None) -> Params:
    if factor is None:
        return variables
    return variables | {"kernel": solve_triangular(factor, variables["kernel"], trans="T", lower=True)}


def _to_variables(classifier: Params, factor: Float[Array, "features features"] | None) -> Params:
    return classifier if factor is None else classifier | {"kernel": factor.T @ classifier["kernel"]}
