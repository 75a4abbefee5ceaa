"""Criteria of a weight's size, at the end and against the start."""

import jax
import jax.numpy as jnp

from repcon_jax.lottery.criterion import CRITERIA, Criterion


@CRITERIA.register("large_final")
@CRITERIA.register("magnitude")
def magnitude() -> Criterion:
    """|w|, which on the parameters at the end of training is ``large_final``.

    Sources: Han et al., arXiv 1506.02626; Zhou et al., arXiv 1905.01067, table 1.
    """
    return Criterion(lambda evidence: jax.tree.map(jnp.abs, evidence.params))


@CRITERIA.register("magnitude_increase")
def magnitude_increase() -> Criterion:
    """|w| - |w_start|.

    Source: Zhou et al., arXiv 1905.01067, table 1.
    """

    def growth(end: jax.Array, start: jax.Array) -> jax.Array:
        return jnp.abs(end) - jnp.abs(start)

    return Criterion(lambda e: jax.tree.map(growth, e.params, e.start), frozenset({"start"}))
