"""The diagonal of the empirical Fisher information."""

import math

import jax
import jax.numpy as jnp

from repcon_jax.errors import check_range
from repcon_jax.lottery.criterion import CRITERIA, Criterion, Evidence
from repcon_jax.typing import PyTree


@CRITERIA.register("fisher")
def fisher(*, examples_at_once: int = 8) -> Criterion:
    """w^2 mean_n (dL_n/dw)^2 over the examples n: twice the loss that zeroing the weight costs, near a minimum.

    With H approximated by the mean of g_n g_n^T, the second-order cost of the step -w is half of it.

    Args:
        examples_at_once: memory is that of as many gradients; lowered to a divisor of the number of examples.
    Raises:
        ArgumentError: examples_at_once is below 1.

    Source: Theis et al., arXiv 1801.05787, section 2 (Fisher pruning).
    """
    check_range("examples_at_once", examples_at_once, 1)

    def cost(evidence: Evidence) -> PyTree:
        params = evidence.kept()
        squares = _mean_squared_gradients(evidence, params, examples_at_once)
        return jax.tree.map(lambda w, square: w**2 * square, params, squares)

    return Criterion(cost, frozenset({"loss", "batches"}))


def _mean_squared_gradients(evidence: Evidence, params: PyTree, examples_at_once: int) -> PyTree:
    count = math.prod(jax.tree.leaves(evidence.batches)[0].shape[:2])
    chunk = math.gcd(count, examples_at_once)

    def split(leaf: jax.Array) -> jax.Array:
        # An example is a batch of one, since the loss takes batches.
        return leaf.reshape(count // chunk, chunk, 1, *leaf.shape[2:])

    def add(sums: PyTree, examples: PyTree) -> tuple[PyTree, None]:
        gradients = jax.vmap(jax.grad(evidence.loss), (None, 0))(params, examples)
        return jax.tree.map(lambda s, g: s + jnp.sum(g**2, 0), sums, gradients), None

    sums, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), jax.tree.map(split, evidence.batches))
    return jax.tree.map(lambda s: s / count, sums)
