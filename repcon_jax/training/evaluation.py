"""Metrics over a whole data set, every example counted exactly once."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from repcon_jax.data import normalise, to_float
from repcon_jax.typing import Metrics, ModelState, Params, PyTree

Evaluate = Callable[[Params, PyTree, ModelState, Array, Array], Metrics]


@partial(jax.jit, static_argnums=(0,), static_argnames=("batch_size",))
def evaluate_dataset(
    evaluate: Evaluate,
    params: Params,
    carried: PyTree,
    model_state: ModelState,
    images: UInt8[Array, "examples height width channels"],
    labels: Int[Array, " examples"],
    mean: Float[Array, " channels"],
    std: Float[Array, " channels"],
    *,
    batch_size: int = 256,
) -> dict[str, Float[Array, ""]]:
    """The mean over all examples of what ``evaluate`` gives for each.

    Args:
        evaluate: an objective's function of that name.
        params, carried, model_state: of a train state.
        images, labels: the data set; the last batch is padded and its padding not counted.
        mean, std: for normalisation.
        batch_size: examples per batch.
    """
    size = min(batch_size, images.shape[0])
    batches = -(-images.shape[0] // size)
    indices = jnp.arange(batches * size).reshape(batches, size)

    def one(rows: Array) -> Metrics:
        rows = jnp.minimum(rows, images.shape[0] - 1)
        return evaluate(params, carried, model_state, normalise(to_float(images[rows]), mean, std), labels[rows])

    values = jax.lax.map(one, indices)
    return {name: jnp.mean(v.reshape(-1)[: images.shape[0]]) for name, v in values.items()}
