"""Parts of a labelled set that hold every class in proportion."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.typing import Key


@jax.jit
def stratified_ranks(labels: Int[Array, " examples"], key: Key) -> Float[Array, " examples"]:
    """A random place of each example within its class, evenly spread over (0, 1).

    The examples with a rank below f are a random fraction f of every class, and sorting by rank gives nested
    subsets of any size that hold the classes in proportion.

    Args:
        labels: class of each example, [examples].
        key: decides the order within each class.
    Returns:
        (place + 1/2) / (size of the class), [examples].

    >>> ranks = stratified_ranks(jnp.array([0, 1, 0, 1, 1]), jax.random.key(0))
    >>> sorted(round(float(r), 3) for r in ranks)
    [0.167, 0.25, 0.5, 0.75, 0.833]
    """
    order = jnp.lexsort((jax.random.uniform(key, labels.shape), labels))
    ordered = labels[order]
    first = jnp.searchsorted(ordered, ordered, side="left")
    end = jnp.searchsorted(ordered, ordered, side="right")
    ranks = (jnp.arange(labels.shape[0]) - first + 0.5) / (end - first)
    return jnp.zeros(labels.shape).at[order].set(ranks)
