"""The effective rank: in how many directions features vary, by the entropy of singular values."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore
from repcon_jax.probing.pairwise import centred as less_mean
from repcon_jax.records.scores import Score


@GEOMETRY_SCORES.register("effective_rank")
def build_effective_rank(*, centred: bool = True) -> GeometryScore:
    """The effective rank, see ``effective_rank``.

    Args:
        centred: whether the mean is taken away first.
    """
    return GeometryScore(lambda features: effective_rank(features, centred), Score("effective rank"))


@partial(jax.jit, static_argnames=("centred",))
def effective_rank(features: Features, centred: bool = True) -> Float[Array, ""]:
    """The exponential of the entropy of normalised singular values, in [1, min(examples, size)].

        exp(-sum_i p_i log p_i),   p_i = s_i / sum_j s_j

    Args:
        features: [examples, size]; NaN where they are constant, or all 0 if not centred.
        centred: whether the mean is taken away first; otherwise a mean far from the origin is a direction that hides
            the others.

    Source: Roy and Vetterli, The effective rank (EUSIPCO 2007), definition 1; not centred it is RankMe of Garrido et
    al. (arXiv 2210.02885).

    >>> round(float(effective_rank(jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]))), 4)
    2.0
    """
    values = jnp.linalg.svd(less_mean(features) if centred else features, compute_uv=False)
    return jnp.exp(jax.scipy.special.entr(values / values.sum()).sum())
