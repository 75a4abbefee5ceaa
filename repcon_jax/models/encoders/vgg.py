"""VGG without its last layer: stages of 3x3 convolutions, each ended by a 2x2 max pool, flattened, then linear layers.

Source: Simonyan and Zisserman, arXiv 1409.1556, Table 1; torchvision's ``vgg.features``: Kaiming normal kernels (fan
out), biases zero and kept before a normalisation. The four counts of Table 5 of arXiv 2302.12091 are met.
"""

from functools import partial

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.models.architecture import Architecture, Layer
from repcon_jax.models.kernels import ConvolutionName, Images, Maps, max_pool
from repcon_jax.models.layers import ComputeType, Linear, conv, rematerialised, scale_width
from repcon_jax.models.model import Model, from_linen
from repcon_jax.models.normalisation import Normalisation, Normalise, check_batch_norm_parts
from repcon_jax.models.registries import ENCODERS

Features = dict[str, Array]
CHANNELS = (64, 128, 256, 512, 512)


class Stage(nn.Module):
    """``depth`` layers of convolution, normalisation and ReLU, then a max pool that halves the image."""

    channels: int
    depth: int
    normalisation: Normalisation
    batch_norm_parts: int
    dtype: str
    convolution: ConvolutionName

    @nn.compact
    def __call__(self, images: Images, train: bool) -> tuple[Maps, Features]:
        features = {}
        for i in range(1, self.depth + 1):
            layer = conv(self.channels, 3, padding=1, dtype=self.dtype, convolution=self.convolution, name=f"conv{i}")
            norm = Normalise(self.normalisation, self.dtype, self.batch_norm_parts, name=f"norm{i}")
            images = norm(layer(images), train)
            images = features[f"conv{i}"] = jax.nn.relu(images)
        return max_pool(images), features


class Vgg(nn.Module):
    """Stages of given channels and depths; the flattened output of the last pool goes through linear layers and ReLUs.

    The embedding is the output of the last of these, or where there are none what was flattened.
    """

    channels: tuple[int, ...]
    depths: tuple[int, ...]
    normalisation: Normalisation
    batch_norm_parts: int
    dtype: str
    convolution: ConvolutionName
    rematerialise: bool
    fully_connected: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, images: Images, train: bool) -> tuple[Float[Array, "batch size"], Features]:
        _check_size(images.shape[1:3], len(self.depths))
        options = (self.normalisation, self.batch_norm_parts, self.dtype, self.convolution)
        build, features = rematerialised(Stage, self.rematerialise, static_argnums=(2,)), {}
        for i, (channels, depth) in enumerate(zip(self.channels, self.depths, strict=True), 1):
            images, layers = build(channels, depth, *options, name=f"stage{i}")(images, train)
            features |= {f"stage{i}.{name}": layer for name, layer in layers.items()}
        embedding = images.reshape(images.shape[0], -1)
        for i, size in enumerate(self.fully_connected, 1):
            layer = Linear(size, dtype=self.dtype, name=f"linear{i}")
            embedding = features[f"linear{i}"] = jax.nn.relu(layer(embedding))
        return embedding, features | {"embedding": embedding}


def _check_size(size: tuple[int, ...], num_stages: int) -> None:
    largest = min(size).bit_length() - 1
    if num_stages > largest:
        fewer = f"num_stages={largest} or " if largest else ""
        raise ArgumentError(
            "num_stages",
            f"is {num_stages} but each stage halves the image and {size[0]}x{size[1]} pixels allow at most {largest}",
            f"take {fewer}images of {2**num_stages} pixels or more",
        )


def architecture(
    depths: tuple[int, ...], normalisation: Normalisation, fully_connected: tuple[int, ...] = ()
) -> Architecture:
    """What a ``Vgg`` declares: a group of channels for each convolution, and one of units for each linear layer."""
    places = [(stage, i) for stage, depth in enumerate(depths, 1) for i in range(1, depth + 1)]
    units = [None, *(f"stage{stage}/conv{i}" for stage, i in places)]
    layers = [
        Layer(f"stage{stage}/conv{i}", units[n - 1], units[n], f"stage{stage}/norm{i}", normalisation, jax.nn.relu)
        for n, (stage, i) in enumerate(places, 1)
    ]
    last = [f"linear{i}" for i in range(1, len(fully_connected) + 1)]
    for name in last:
        layers.append(Layer(name, units[-1], name, activation=jax.nn.relu))
        units.append(name)
    blocks = (*(f"stage{s}.conv{i}" for s, i in places), *last)
    return Architecture(tuple(layers), embedding=units[-1], blocks=blocks)


def vgg(
    depths: tuple[int, ...],
    *,
    normalisation: Normalisation = "none",
    batch_norm_parts: int = 1,
    width: float = 1.0,
    num_stages: int = 5,
    dtype: ComputeType = "float32",
    convolution: ConvolutionName = "auto",
    rematerialise: bool = False,
    fully_connected: tuple[int, ...] = (),
) -> Model:
    """The VGG networks that ``ENCODERS`` knows by name; on 32x32 images the embedding has 512 * width entries.

    Args:
        depths: convolutions per stage.
        normalisation: layer after every convolution.
        batch_norm_parts: equal parts of the batch, each with batch norm statistics of its own; 1 is the whole batch.
        width: factor on every layer's channels, positive.
        num_stages: stages kept, 1 to 5; every stage halves the image.
        dtype: type of the computation; parameters and embeddings are float32.
        convolution: how to compute convolutions; ``auto`` chooses by platform.
        rematerialise: whether each stage is computed again in the backward pass, which saves memory and costs time.
        fully_connected: sizes of linear layers with a ReLU after the last pool, such as (4096, 4096), the paper's
            without their dropout; their kernels and biases are U(+-1/sqrt(inputs)).
    Raises:
        ArgumentError: the width, a size, the number of stages or of parts is out of range.
    """
    check_range("num_stages", num_stages, 1, len(depths))
    for units in fully_connected:
        check_range("fully_connected", units, 1)
    check_batch_norm_parts(batch_norm_parts, normalisation)
    channels = tuple(scale_width(c, width) for c in CHANNELS[:num_stages])
    depths = depths[:num_stages]
    module = Vgg(channels, depths, normalisation, batch_norm_parts, dtype, convolution, rematerialise, fully_connected)
    return from_linen(module, architecture(depths, normalisation, fully_connected))


DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
for _name, _depths in DEPTHS.items():
    ENCODERS.register(_name)(partial(vgg, _depths))
