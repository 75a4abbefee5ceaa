"""From images to the features that are probed."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, UInt8

from repcon_jax.errors import ArgumentError, did_you_mean
from repcon_jax.models import Network, Pixels
from repcon_jax.training.mesh import place

Images = UInt8[Array | np.ndarray, "examples height width channels"]
EMBEDDING = "embedding"
"""The name of the encoder's output among its layers."""

Pooling = Literal["average", "flatten"]
"""What becomes of a layer's output with more axes than [examples, channels]: the average over all places, or all."""


def extract_features(
    network: Network,
    images: Images,
    batch_size: int = 256,
    mesh: Mesh | None = None,
    layer: str = EMBEDDING,
    pooling: Pooling = "flatten",
) -> Float[Array, "examples features"]:
    """Features of every image, in evaluation mode and float32.

    The last batch is filled up with its own images again and the surplus is cut off: one program serves all batches,
    and every image counts exactly once.

    Args:
        network: an encoder.
        images: uint8 [examples, height, width, channels], on the host or the device.
        batch_size: images per call.
        mesh: devices over all of which each batch is spread; None for one device.
        layer: whose output they are, see ``layer_names``.
        pooling: of outputs with more axes.
    Returns:
        [examples, features].
    Raises:
        ArgumentError: the encoder has no such layer.
    """
    if layer != EMBEDDING:
        names = layer_names(network, images.shape[1:])
        if layer not in names:
            raise ArgumentError("layer", f"is {layer!r}, which the encoder lacks", did_you_mean(layer, names))
    batch_size = min(batch_size, images.shape[0])
    if mesh is not None:
        batch_size = -(-batch_size // mesh.size) * mesh.size
    parts = []
    # A Python loop and not lax.scan, inside of which XLA's convolutions on CPU are an order of magnitude slower.
    for begin in range(0, images.shape[0], batch_size):
        batch = images[begin : begin + batch_size]
        size = batch.shape[0]
        if size < batch_size:
            batch = np.asarray(batch)[np.arange(batch_size) % size]
        if mesh is not None:
            batch = place(mesh, batch)
        part = _features_of_batch(mesh, layer, pooling, network, batch)
        parts.append(part[:size] if mesh is None else np.asarray(part)[:size])
    return jnp.concatenate(parts)


def layer_names(network: Network, image_shape: tuple[int, ...]) -> tuple[str, ...]:
    """The layers of an encoder whose outputs can be read, in order of depth, the embedding last.

    Args:
        network: an encoder.
        image_shape: (height, width, channels); nothing is computed.

    >>> from repcon_jax.models import create_encoder
    >>> encoder = create_encoder("mlp", widths=(8, 4))
    >>> layer_names(Network(*encoder.init(jax.random.key(0), jnp.zeros((1, 2, 2, 1))), encoder), (2, 2, 1))
    ('layer1', 'layer2', 'embedding')
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    features = jax.eval_shape(lambda given: network.apply(given, intermediates=True)[2], images)
    return (*(name for name in features if name != EMBEDDING), EMBEDDING)


def pixel_features(images: Images, pixels: Pixels) -> Float[Array, "examples features"]:
    """The raw input as features: normalised per channel and flattened, [examples, height * width * channels].

    Args:
        images: uint8 [examples, height, width, channels].
        pixels: what a network that is compared with them expects.

    >>> pixels = Pixels((0.5, 0.5, 0.5), (0.5, 0.25, 0.5))
    >>> pixel_features(np.full((2, 1, 1, 3), 255, np.uint8), pixels).tolist()
    [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    normalised = pixels(jnp.asarray(images))
    return normalised.reshape(normalised.shape[0], -1)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _features_of_batch(
    mesh: Mesh | None,
    layer: str,
    pooling: Pooling,
    network: Network,
    images: UInt8[Array, "batch height width channels"],
) -> Float[Array, "batch features"]:
    if mesh is not None:
        images = jax.lax.with_sharding_constraint(images, NamedSharding(mesh, PartitionSpec(("member", "data"))))
    features = network.apply(images)[0] if layer == EMBEDDING else network.apply(images, intermediates=True)[2][layer]
    if pooling == "average" and features.ndim > 2:
        features = features.mean(tuple(range(1, features.ndim - 1)))
    features = features.reshape(features.shape[0], -1).astype(jnp.float32)
    if mesh is None:
        return features
    return jax.lax.with_sharding_constraint(features, NamedSharding(mesh, PartitionSpec()))
