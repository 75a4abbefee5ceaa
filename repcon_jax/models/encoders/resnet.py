"""Residual networks without their classifier: stem, stages of residual blocks, global average pool.

Sources: He et al., arXiv 1512.03385; torchvision's ``resnet.py``: stride on the 3x3 convolution of a bottleneck block,
projection shortcuts (1x1 convolution and normalisation) wherever the shape changes, no convolution biases, Kaiming
normal kernels (fan out), normalisation scales one. The counts of Table 5 of arXiv 2302.12091 are met; those of
ResNet20 and ResNet56 show that they too have projection shortcuts.
"""

from functools import partial
from typing import Literal

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.models.architecture import Architecture, Layer
from repcon_jax.models.kernels import ConvolutionName, Images, Maps, max_pool
from repcon_jax.models.layers import ComputeType, conv, rematerialised, scale_width
from repcon_jax.models.model import Model, from_linen
from repcon_jax.models.normalisation import Normalisation, Normalise, check_batch_norm_parts
from repcon_jax.models.registries import ENCODERS

Stem = Literal["cifar", "imagenet"]
Block = Literal["basic", "bottleneck"]


class ConvNorm(nn.Module):
    """A convolution without bias, padded by half its kernel, and its normalisation."""

    channels: int
    kernel_size: int
    stride: int
    normalisation: Normalisation
    batch_norm_parts: int
    dtype: str
    convolution: ConvolutionName

    @nn.compact
    def __call__(self, images: Images, train: bool) -> Maps:
        layer = conv(
            self.channels,
            self.kernel_size,
            stride=self.stride,
            padding=self.kernel_size // 2,
            use_bias=False,
            dtype=self.dtype,
            convolution=self.convolution,
            name="conv",
        )
        norm = Normalise(self.normalisation, self.dtype, self.batch_norm_parts, name="norm")
        return norm(layer(images), train)


class ResidualBlock(nn.Module):
    """``relu(shortcut(x) + f(x))`` with f two 3x3 layers (basic) or 1x1, 3x3 and fourfold 1x1 ones (bottleneck)."""

    kind: Block
    channels: int
    stride: int
    normalisation: Normalisation
    batch_norm_parts: int
    dtype: str
    convolution: ConvolutionName

    @nn.compact
    def __call__(self, images: Images, train: bool) -> Maps:
        c, s = self.channels, self.stride
        layers = {"basic": [(c, 3, s), (c, 3, 1)], "bottleneck": [(c, 1, 1), (c, 3, s), (4 * c, 1, 1)]}[self.kind]
        x = images
        for i, (channels, kernel_size, stride) in enumerate(layers, 1):
            x = self._layer(channels, kernel_size, stride, f"layer{i}")(x, train)
            if i < len(layers):
                x = jax.nn.relu(x)
        # A network that has lost units may have a projection between streams of one size.
        if x.shape != images.shape or self.has_variable("params", "shortcut"):
            images = self._layer(x.shape[-1], 1, s, "shortcut")(images, train)
        return jax.nn.relu(x + images)

    def _layer(self, channels: int, kernel_size: int, stride: int, name: str) -> ConvNorm:
        options = (self.normalisation, self.batch_norm_parts, self.dtype, self.convolution)
        return ConvNorm(channels, kernel_size, stride, *options, name=name)


class ResidualStage(nn.Module):
    """Residual blocks of one width; the first has the stride."""

    kind: Block
    channels: int
    depth: int
    stride: int
    normalisation: Normalisation
    batch_norm_parts: int
    dtype: str
    convolution: ConvolutionName
    rematerialise: bool

    @nn.compact
    def __call__(self, images: Images, train: bool) -> tuple[Maps, dict[str, Array]]:
        options = (self.normalisation, self.batch_norm_parts, self.dtype, self.convolution)
        build, features = rematerialised(ResidualBlock, self.rematerialise, static_argnums=(2,)), {}
        for i in range(1, self.depth + 1):
            stride = self.stride if i == 1 else 1
            images = build(self.kind, self.channels, stride, *options, name=f"block{i}")(images, train)
            features[f"block{i}"] = images
        return images, features


class ResNet(nn.Module):
    """Stem, stages with channels doubling and images halving from the second on, and the mean over pixels."""

    kind: Block
    depths: tuple[int, ...]
    channels: int
    stem: Stem
    normalisation: Normalisation
    batch_norm_parts: int
    dtype: str
    convolution: ConvolutionName
    rematerialise: bool

    @nn.compact
    def __call__(self, images: Images, train: bool) -> tuple[Float[Array, "batch size"], dict[str, Array]]:
        options = (self.normalisation, self.batch_norm_parts, self.dtype, self.convolution)
        kernel_size, stride = (3, 1) if self.stem == "cifar" else (7, 2)
        images = jax.nn.relu(ConvNorm(self.channels, kernel_size, stride, *options, name="stem")(images, train))
        if self.stem == "imagenet":
            images = max_pool(images, window=3, stride=2, padding=1)
        features = {"stem": images}
        for i, depth in enumerate(self.depths):
            shape = (self.channels * 2**i, depth, 1 if i == 0 else 2)
            stage = ResidualStage(self.kind, *shape, *options, self.rematerialise, name=f"stage{i + 1}")
            images, blocks = stage(images, train)
            features |= {f"stage{i + 1}.{name}": block for name, block in blocks.items()}
        embedding = images.mean((1, 2))
        return embedding, features | {"embedding": embedding}


def resnet(
    kind: Block,
    depths: tuple[int, ...],
    channels: int,
    *,
    blocks: tuple[int, ...] = (),
    stem: Stem = "cifar",
    normalisation: Normalisation = "batch",
    batch_norm_parts: int = 1,
    width: float = 1.0,
    dtype: ComputeType = "float32",
    convolution: ConvolutionName = "auto",
    rematerialise: bool = False,
) -> Model:
    """The residual networks that ``ENCODERS`` knows by name.

    Args:
        kind: sort of block.
        depths: blocks of each stage.
        channels: of the stem and the first stage.
        blocks: of each stage, positive, in place of those that the name stands for; () keeps them.
        stem: ``cifar`` is a 3x3 convolution, ``imagenet`` a 7x7 convolution of stride 2 and a max pool.
        normalisation: layer after every convolution.
        batch_norm_parts: equal parts of the batch, each with batch norm statistics of its own; 1 is the whole batch.
        width: factor on every layer's channels, positive.
        dtype: type of the computation; parameters and embeddings are float32.
        convolution: how to compute convolutions; ``auto`` chooses by platform.
        rematerialise: whether each block is computed again in the backward pass, which saves memory and costs time.
    Raises:
        ArgumentError: the width or the number of parts is not positive.
    """
    check_batch_norm_parts(batch_norm_parts, normalisation)
    check_range("blocks", min(blocks, default=1), 1)
    options = (normalisation, batch_norm_parts, dtype, convolution, rematerialise)
    depths = blocks or depths
    module = ResNet(kind, depths, scale_width(channels, width), stem, *options)
    return from_linen(module, _architecture(kind, depths, normalisation))


def _architecture(kind: Block, depths: tuple[int, ...], normalisation: Normalisation) -> Architecture:
    """A group of channels for each layer of a block but the last, and one for the residual stream.

    Sums tie channels together: all that is added to the stream has its group, which begins at the stem and ends where
    a shortcut has a convolution of its own.
    """

    def layer(path: str, reads: str | None, writes: str) -> Layer:
        return Layer(f"{path}/conv", reads, writes, f"{path}/norm", normalisation, jax.nn.relu)

    layers, blocks, stream = [layer("stem", None, "stem")], ["stem"], "stem"
    num_layers = {"basic": 2, "bottleneck": 3}[kind]
    for stage, depth in enumerate(depths, 1):
        for i in range(1, depth + 1):
            block = f"stage{stage}/block{i}"
            blocks.append(f"stage{stage}.block{i}")
            projects = i == 1 and (stage > 1 or kind == "bottleneck")
            end = block if projects else stream
            if projects:
                layers.append(layer(f"{block}/shortcut", stream, end))
            units = [stream, *(f"{block}/layer{n}" for n in range(1, num_layers)), end]
            layers += [layer(f"{block}/layer{n}", units[n - 1], units[n]) for n in range(1, num_layers + 1)]
            stream = end
    return Architecture(tuple(layers), embedding=stream, blocks=tuple(blocks))


ARCHITECTURES: dict[str, tuple[Block, tuple[int, ...], int]] = {
    "resnet18": ("basic", (2, 2, 2, 2), 64),
    "resnet34": ("basic", (3, 4, 6, 3), 64),
    "resnet50": ("bottleneck", (3, 4, 6, 3), 64),
    "resnet20": ("basic", (3, 3, 3), 16),
    "resnet56": ("basic", (9, 9, 9), 16),
}
for _name, _sizes in ARCHITECTURES.items():
    ENCODERS.register(_name)(partial(resnet, *_sizes))
