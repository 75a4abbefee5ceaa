"""The H-score: how much of the features' variation lies between the classes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.records.scores import Score
from repcon_jax.transfer.score import TRANSFER_SCORES, Features, Labels, TransferScore


@TRANSFER_SCORES.register("h_score")
def h_score(*, tolerance: float = 1e-5) -> TransferScore:
    """tr(cov(f)^+ cov(E[f | y])), at most the number of classes less one.

    With no more examples than features it is exactly that, whatever the features are: it needs several times as many.

    Args:
        tolerance: singular values of cov(f) below this share of the largest count as zero.
    Raises:
        ArgumentError: the tolerance is negative.

    Source: Bao et al., An Information-Theoretic Approach to Transferability (ICIP 2019), definition 2.
    """
    check_range("tolerance", tolerance, 0)

    def value(features: Features, labels: Labels, num_classes: int) -> Float[Array, ""]:
        centred = features - features.mean(0)
        chosen = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
        counts = chosen.sum(0)
        exact = {"precision": jax.lax.Precision.HIGHEST}
        means = jnp.matmul(chosen.T, centred, **exact) / jnp.maximum(counts, 1)[:, None]
        covariance = jnp.matmul(centred.T, centred, **exact) / len(features)
        between = jnp.matmul(means.T * (counts / len(features)), means, **exact)
        return jnp.trace(jnp.matmul(jnp.linalg.pinv(covariance, rtol=tolerance, hermitian=True), between, **exact))

    return TransferScore(value, Score("H-score", higher_is_better=True))
