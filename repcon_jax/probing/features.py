"""From images to the features that are probed."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, UInt8

from repcon_jax.models.pixels import normalise
from repcon_jax.training.mesh import place
from repcon_jax.typing import ModelState, Params

Images = UInt8[Array | np.ndarray, "examples height width channels"]
ChannelStatistics = Float[Array | np.ndarray, "channels"]
ApplyFunction = Callable[..., tuple[Array, ModelState]]


def extract_features(
    apply_fn: ApplyFunction,
    params: Params,
    model_state: ModelState,
    images: Images,
    mean: ChannelStatistics,
    std: ChannelStatistics,
    batch_size: int = 256,
    mesh: Mesh | None = None,
) -> Float[Array, "examples features"]:
    """Features of every image, in evaluation mode and float32.

    The last batch is filled up with its own images again and the surplus is cut off: one program serves all batches,
    and every image counts exactly once.

    Args:
        apply_fn: ``apply_fn(params, model_state, images, train) -> (features, model_state)`` on normalised float
            images; pass the same function object every time, it is compiled once per object and shape.
        params, model_state: of the encoder.
        images: uint8 [examples, height, width, channels], on the host or the device.
        mean, std: per channel, of images scaled to [0, 1].
        batch_size: images per call.
        mesh: devices over all of which each batch is spread; None for one device.
    Returns:
        [examples, features]; features with more axes are flattened.
    """
    batch_size = min(batch_size, images.shape[0])
    if mesh is not None:
        batch_size = -(-batch_size // mesh.size) * mesh.size
    mean, std = np.asarray(mean), np.asarray(std)
    parts = []
    # A Python loop and not lax.scan, inside of which XLA's convolutions on CPU are an order of magnitude slower.
    for begin in range(0, images.shape[0], batch_size):
        batch = images[begin : begin + batch_size]
        size = batch.shape[0]
        if size < batch_size:
            batch = np.asarray(batch)[np.arange(batch_size) % size]
        if mesh is not None:
            batch = place(mesh, batch)
        part = _features_of_batch(apply_fn, mesh, params, model_state, batch, mean, std)
        parts.append(part[:size] if mesh is None else np.asarray(part)[:size])
    return jnp.concatenate(parts)


def pixel_features(
    images: Images, mean: ChannelStatistics, std: ChannelStatistics
) -> Float[Array, "examples features"]:
    """The raw input as features: normalised per channel and flattened, [examples, height * width * channels].

    >>> half, std = np.float32([0.5, 0.5, 0.5]), np.float32([0.5, 0.25, 0.5])
    >>> pixel_features(np.full((2, 1, 1, 3), 255, np.uint8), half, std).tolist()
    [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    normalised = normalise(jnp.asarray(images), jnp.asarray(mean), jnp.asarray(std))
    return normalised.reshape(normalised.shape[0], -1)


@partial(jax.jit, static_argnums=(0, 1))
def _features_of_batch(
    apply_fn: ApplyFunction,
    mesh: Mesh | None,
    params: Params,
    model_state: ModelState,
    images: UInt8[Array, "batch height width channels"],
    mean: Float[Array, "channels"],
    std: Float[Array, "channels"],
) -> Float[Array, "batch features"]:
    if mesh is not None:
        images = jax.lax.with_sharding_constraint(images, NamedSharding(mesh, PartitionSpec(("member", "data"))))
    features, _ = apply_fn(params, model_state, normalise(images, mean, std), False)
    features = features.reshape(features.shape[0], -1).astype(jnp.float32)
    if mesh is None:
        return features
    return jax.lax.with_sharding_constraint(features, NamedSharding(mesh, PartitionSpec()))
