"""Linear support vector machines with an L2 penalty, solved to convergence on the device."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from repcon_jax.losses import softmax_cross_entropies_with_labels
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.minimisation import Fit, hessian_factor, minimise
from repcon_jax.typing import Params

MultiClass = Literal["one_vs_rest", "crammer_singer"]
"""A machine for each class against all others with the squared hinge, or one machine for all with a smoothed hinge."""


def hinge_losses(
    logits: Float[Array, "examples classes"],
    labels: Int[Array, " examples"],
    multi_class: MultiClass,
    smoothing: float | Scalar = 0.01,
) -> Float[Array, " examples"]:
    """The loss of each example that ``fit_support_vector_machine`` minimises.

        one_vs_rest:     sum_k max(0, 1 - y_k f_k)^2,   y_k = 1 for the class of the example and -1 for others
        crammer_singer:  s log sum_k exp((f_k - f_y + [k != y]) / s)

    The second is a smooth upper bound of the hinge of Crammer and Singer, max_k (f_k - f_y + [k != y]), and never more
    than s log(classes) above it.

    Args:
        logits, labels: [examples, classes] and [examples].
        multi_class: which.
        smoothing: s, in units of the margin; unused for ``one_vs_rest``.

    >>> hinge_losses(jnp.array([[3.0, 0.5, -2.0]]), jnp.array([0]), "one_vs_rest").tolist()
    [2.25]
    >>> hinge_losses(jnp.array([[3.0, 2.5, -2.0]]), jnp.array([0]), "crammer_singer").round(4).tolist()
    [0.5]
    """
    is_label = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    if multi_class == "one_vs_rest":
        return jnp.sum(_squared_hinges(logits, 2.0 * is_label - 1.0), axis=1)
    return smoothing * softmax_cross_entropies_with_labels((logits + 1.0 - is_label) / smoothing, labels)


@partial(jax.jit, static_argnames="multi_class")
def fit_support_vector_machine(
    start: Params,
    features: Float[Array, "examples features"],
    labels: Int[Array, " examples"],
    weights: Float[Array, " examples"],
    C: float | Scalar,
    moment: Float[Array, "features features"] | None = None,
    *,
    multi_class: MultiClass = "one_vs_rest",
    smoothing: float | Scalar = 0.01,
    max_iterations: int | Scalar = 500,
    tolerance: float | Scalar = 1e-4,
) -> Fit:
    """Minimises C sum_n weight_n loss_n + ||kernel||^2 / 2 with L-BFGS; the bias is not penalised.

    The solver sees the objective divided by C sum_n weight_n. One against the rest falls apart into a problem for each
    class, which are solved together: one line search for all costs less than the slowest of many.

    Args:
        start: classifier to start from, such as the fit at a neighbouring C.
        features, labels: [examples, features] and [examples].
        weights: weight of each example, [examples]; 0 leaves it out.
        C: inverse strength of the penalty, as scikit-learn's LinearSVC counts it; that penalises the bias too.
        moment: ``second_moment`` of the features, or None for no preconditioning.
        multi_class, smoothing: of the loss, see ``hinge_losses``.
        max_iterations: of L-BFGS.
        tolerance: the largest entry of the gradient (by kernel and bias) at which the solver stops.

    Source: Crammer and Singer, On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines (2001),
    equation 3; Fan et al., LIBLINEAR (2008), equation 2 and its squared hinge.
    """
    penalty = 1.0 / (C * jnp.sum(weights))
    num_classes = start["bias"].shape[0]

    def mean_loss(classifier: Params) -> Float[Array, ""]:
        losses = hinge_losses(linear_logits(classifier, features), labels, multi_class, smoothing)
        return jnp.sum(weights * losses) / jnp.sum(weights)

    # Where an example of one class stands within the margin the squared hinge bends by 2.
    factor = hessian_factor(moment, 2.0 if multi_class == "one_vs_rest" else 1.0 / num_classes, penalty)
    return minimise(mean_loss, penalty, start, factor, max_iterations, tolerance)


def _squared_hinges(logits: Float[Array, "*shape"], signs: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.square(jnp.maximum(0.0, 1.0 - signs * logits))
