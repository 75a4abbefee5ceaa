"""Multinomial logistic regression with an L2 penalty, solved to convergence on the device."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from repcon_jax.losses import softmax_cross_entropies_with_labels
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.minimisation import Fit, hessian_factor, minimise
from repcon_jax.typing import Params


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
    With a second moment M it is preconditioned with M / classes + I / (C sum_n weight_n), the Hessian at equal class
    probabilities. Where features are correlated and classes overlap, as for networks and pixels, this saves most of the
    iterations.

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

    def mean_loss(classifier: Params) -> Float[Array, ""]:
        losses = softmax_cross_entropies_with_labels(linear_logits(classifier, features), labels)
        return jnp.sum(weights * losses) / jnp.sum(weights)

    factor = hessian_factor(moment, 1.0 / start["bias"].shape[0], penalty)
    return minimise(mean_loss, penalty, start, factor, max_iterations, tolerance)
