"""Metrics over a whole data set, every example counted exactly once."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, UInt8

from repcon_jax.data import to_float
from repcon_jax.training.mesh import shard_batch
from repcon_jax.typing import Metrics, PyTree

Evaluate = Callable[[PyTree, Array, Array], Metrics]


@partial(jax.jit, static_argnums=(0,), static_argnames=("batch_size", "mesh"))
def evaluate_dataset(
    evaluate: Evaluate,
    arguments: PyTree,
    images: UInt8[Array, "examples height width channels"],
    labels: Int[Array, " examples"],
    *,
    batch_size: int = 256,
    mesh: Mesh | None = None,
) -> dict[str, Float[Array, ""]]:
    """The mean over all examples of what ``evaluate`` gives for each.

    Args:
        evaluate: arguments, images in [0, 1] [batch, ...], labels [batch] -> {name: per-example values [batch]}.
        arguments: of a train state, say.
        images, labels: the data set; the last batch is padded and its padding not counted.
        batch_size: examples per batch.
        mesh: the devices over whose axis ``data`` each batch is spread; None for one device.
    """
    size = min(batch_size, images.shape[0])
    if mesh is not None:
        size = -(-size // mesh.shape["data"]) * mesh.shape["data"]
    batches = -(-images.shape[0] // size)
    indices = jnp.arange(batches * size).reshape(batches, size)

    def one(rows: Array) -> Metrics:
        rows = shard_batch(jnp.minimum(rows, images.shape[0] - 1), mesh)
        return evaluate(arguments, to_float(images[rows]), labels[rows])

    values = jax.lax.map(one, indices)
    return {name: jnp.mean(v.reshape(-1)[: images.shape[0]]) for name, v in values.items()}
