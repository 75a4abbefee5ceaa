"""How near one representation comes to another by a rotation and a factor."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.pairwise import centred, product
from repcon_jax.probing.similarity import SIMILARITIES, Similarity
from repcon_jax.records.scores import Score


@SIMILARITIES.register("procrustes")
def build_procrustes() -> Similarity:
    """1 - d / 2 in [0, 1], where d is the squared Procrustes distance, see ``procrustes_distance``."""
    score = Score("Procrustes similarity", about="1 less half the squared distance after rotation")
    return Similarity(lambda first, second, key: 1 - procrustes_distance(first, second) / 2, score)


@jax.jit
def procrustes_distance(
    first: Float[Array, "examples size"], second: Float[Array, "examples other"]
) -> Float[Array, ""]:
    """The squared orthogonal Procrustes distance of centred features of Frobenius norm 1, in [0, 2].

        d(X, Y) = min_R ||X - Y R||_F^2 = 2 - 2 ||X^T Y||_*,   ||X||_F = ||Y||_F = 1,   R orthogonal

    where ||.||_* is the sum of singular values; of features of different sizes the smaller are padded with zeros.

    Args:
        first, second: features of the same examples, of any two sizes; NaN where one of them is constant.

    Source: Ding et al., Grounding Representation Similarity with Statistical Testing (arXiv 2108.01661), section 2.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    >>> abs(round(float(procrustes_distance(x, 5 * x[:, ::-1] + 1)), 5))
    0.0
    """
    first, second = (_in_few_columns(centred(features)) for features in (first, second))
    first, second = (moved / jnp.linalg.norm(moved) for moved in (first, second))
    nuclear = jnp.linalg.svd(product(first.T, second), compute_uv=False).sum()
    return 2 - 2 * nuclear


def _in_few_columns(features: Float[Array, "examples size"]) -> Float[Array, "examples few"]:
    """Features rotated so that they fill no more columns than there are examples: the distance stays the same."""
    if features.shape[1] <= features.shape[0]:
        return features
    return jnp.linalg.qr(features.T, mode="r").T
