"""Chance, the criterion that every other one has to beat."""

import jax

from repcon_jax.lottery.criterion import CRITERIA, Criterion
from repcon_jax.random import stream
from repcon_jax.trees import map_named


@CRITERIA.register("random")
def random() -> Criterion:
    """Uniform in [0, 1); a leaf's scores depend on the key, the leaf's path and its shape alone."""
    return Criterion(
        lambda e: map_named(lambda name, leaf: jax.random.uniform(stream(e.key, name), leaf.shape), e.params),
        frozenset({"key"}),
    )
