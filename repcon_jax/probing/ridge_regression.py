"""Ridge regression of +-1 targets in closed form, for many penalties at once."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from repcon_jax.typing import Params

_PRECISION = jax.lax.Precision.HIGHEST


class Decomposition(NamedTuple):
    """The training set as ``ridge_classifier`` needs it, from which every penalty costs one small product.

    Attributes:
        eigenvalues, eigenvectors: of the centred Gram matrix [features, features].
        projected: the eigenvectors' transpose times centred features times targets, [features, classes].
        feature_means, target_means: [features] and [classes].
    """

    eigenvalues: Float[Array, " features"]
    eigenvectors: Float[Array, "features features"]
    projected: Float[Array, "features classes"]
    feature_means: Float[Array, " features"]
    target_means: Float[Array, " classes"]


def decompose(
    features: Float[Array, "examples features"],
    labels: Int[Array, " examples"],
    weights: Float[Array, " examples"],
    num_classes: int,
) -> Decomposition:
    """The eigenvectors of the weighted, centred Gram matrix, sum_n weight_n (x_n - m)(x_n - m)^T.

    Directions along which the features vary by less than float32 resolves beside the widest one have no part.

    Args:
        features, labels: [examples, features] and [examples].
        weights: weight of each example, [examples]; 0 leaves it out.
        num_classes: labels lie in 0 .. num_classes - 1.
    """
    targets = 2.0 * jax.nn.one_hot(labels, num_classes) - 1.0
    shares = weights / jnp.sum(weights)
    feature_means = jnp.matmul(shares, features, precision=_PRECISION)
    target_means = jnp.matmul(shares, targets, precision=_PRECISION)
    centred = features - feature_means
    weighted = (weights[:, None] * centred).T
    eigenvalues, eigenvectors = jnp.linalg.eigh(jnp.matmul(weighted, centred, precision=_PRECISION))
    products = jnp.matmul(weighted, targets - target_means, precision=_PRECISION)
    projected = jnp.matmul(eigenvectors.T, products, precision=_PRECISION)
    # Where no more than rounding is left of a direction, a small penalty would blow that up.
    is_rounding = eigenvalues <= 10.0 * jnp.finfo(features.dtype).eps * eigenvalues[-1]
    projected = jnp.where(is_rounding[:, None], 0.0, projected)
    return Decomposition(jnp.maximum(eigenvalues, 0.0), eigenvectors, projected, feature_means, target_means)


def ridge_classifier(decomposition: Decomposition, penalty: float | Scalar) -> Params:
    """Minimises sum_n weight_n ||y_n - kernel^T x_n - bias||^2 + penalty ||kernel||^2; the bias is not penalised.

        kernel = V (Lambda + penalty I)^-1 V^T X^T Y

    Args:
        decomposition: of the training set, whose targets y_n are 1 for the example's class and -1 for others.
        penalty: above 0, as scikit-learn's RidgeClassifier counts its alpha.

    >>> features, labels = jnp.array([[-1.0], [0.0], [1.0]]), jnp.array([0, 0, 1])
    >>> classifier = ridge_classifier(decompose(features, labels, jnp.ones(3), 2), 2.0)
    >>> classifier["kernel"].tolist()
    [[-0.5, 0.5]]
    """
    shrunk = decomposition.projected / (decomposition.eigenvalues + penalty)[:, None]
    kernel = jnp.matmul(decomposition.eigenvectors, shrunk, precision=_PRECISION)
    bias = decomposition.target_means - jnp.matmul(decomposition.feature_means, kernel, precision=_PRECISION)
    return {"kernel": kernel, "bias": bias}
