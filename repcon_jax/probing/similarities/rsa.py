"""Representational similarity analysis: whether the same pairs of examples are alike."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.pairwise import off_diagonal, product
from repcon_jax.probing.similarity import SIMILARITIES, Similarity
from repcon_jax.probing.standardisation import normalise_features
from repcon_jax.records.scores import Score

Correlation = Literal["spearman", "pearson"]


@SIMILARITIES.register("rsa")
def build_rsa(*, correlation: Correlation = "spearman") -> Similarity:
    """The correlation of the dissimilarities of all pairs of examples, see ``rsa``.

    Args:
        correlation: of ranks, or of the dissimilarities themselves.
    """
    score = Score("RSA", about=f"the {correlation.capitalize()} correlation of the dissimilarities of all pairs")
    return Similarity(lambda first, second, key: rsa(first, second, correlation), score, examples_needed=3)


@partial(jax.jit, static_argnames=("correlation",))
def rsa(
    first: Float[Array, "examples size"],
    second: Float[Array, "examples other"],
    correlation: Correlation = "spearman",
) -> Float[Array, ""]:
    """The correlation over all pairs of examples of their dissimilarities in two representations, in [-1, 1].

        corr_{i < j}(D(X)_ij, D(Y)_ij),   D(X)_ij = 1 - Pearson correlation of x_i and x_j over the features

    Memory is a few times examples^2 * 4 bytes, and the ranks take a sort of all pairs.

    Args:
        first, second: features of the same examples, three at least, of any two sizes from 2 on; NaN where all pairs
            of one of them are equally dissimilar.
        correlation: of ranks, the mean one for equal values, or of the dissimilarities themselves.

    Source: Kriegeskorte et al., Representational similarity analysis (Frontiers in Systems Neuroscience 2, 2008).
    """
    moved = [_dissimilarities(features) for features in (first, second)]
    if correlation == "spearman":
        # In [0, 1], since squares of large ranks would lose digits.
        moved = [jax.scipy.stats.rankdata(values).astype(jnp.float32) / len(values) for values in moved]
    # Equal values less their mean are only rounding, which would correlate with anything.
    x, y = (jnp.where(values.max() > values.min(), values - values.mean(), 0) for values in moved)
    return jnp.sum(x * y) / (jnp.linalg.norm(x) * jnp.linalg.norm(y))


def _dissimilarities(features: Float[Array, "examples size"]) -> Float[Array, " pairs"]:
    """Of all pairs, each in both orders; 1 to an example whose features are all equal."""
    moved = features - features.mean(1, keepdims=True)
    patterns = normalise_features(moved, moved, "l2")[0]
    return off_diagonal(1 - product(patterns, patterns.T))
