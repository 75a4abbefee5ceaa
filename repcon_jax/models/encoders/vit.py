"""Vision transformers without their classifier: patches, class token, pre-norm blocks.

Sources: Dosovitskiy et al., arXiv 2010.11929; initialisation as in timm and DINO (arXiv 2104.14294): linear kernels,
class token and position embedding are N(0, 0.02^2) cut at +-2 absolute, biases zero, and the patch embedding keeps
torch.nn.Conv2d's default U(+-1/sqrt(fan_in)); layer norm epsilon 1e-6 as there. The embedding is the class
token after the last norm. Layer scale: Touvron et al., arXiv 2103.17239; registers: Darcet et al., arXiv 2309.16588.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.models.architecture import Architecture, Attention, Layer
from repcon_jax.models.kernels import ConvolutionName, Images, gelu, materialised
from repcon_jax.models.layers import (
    ComputeType,
    Linear,
    conv,
    rematerialised,
    truncated_normal,
    uniform_fan_in,
)
from repcon_jax.models.model import Model, from_linen
from repcon_jax.models.positions import Interpolation, interpolate_positions
from repcon_jax.models.registries import ENCODERS

Tokens = Float[Array, "batch tokens size"]


class SelfAttention(nn.Module):
    """``softmax(Q K^T / sqrt(d)) V`` over the tokens in each head, then a linear map of the joined heads."""

    num_heads: int
    dtype: str

    @nn.compact
    def __call__(self, tokens: Tokens) -> Tokens:
        batch, length, size = tokens.shape
        projected = Linear(3 * size, "normal", dtype=self.dtype, name="query_key_value")(tokens)
        query, key, value = jnp.unstack(projected.reshape(batch, length, 3, self.num_heads, -1), axis=2)
        joined = jax.nn.dot_product_attention(query, key, value).reshape(tokens.shape)
        return Linear(size, "normal", dtype=self.dtype, name="output")(joined)


class TransformerBlock(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))`` with four times as many hidden units and exact GELU.

    With layer scale, what is added to ``x`` is multiplied by one trained factor a component, which begins at a number.
    """

    num_heads: int
    dtype: str
    layer_scale: float | None = None

    @nn.compact
    def __call__(self, tokens: Tokens) -> Tokens:
        size = tokens.shape[-1]
        normalised = nn.LayerNorm(dtype=self.dtype, use_fast_variance=False, name="norm1")(tokens)
        attended = SelfAttention(self.num_heads, self.dtype, name="attention")(normalised)
        tokens = materialised(tokens + self._scaled(attended, "scale1"))
        normalised = nn.LayerNorm(dtype=self.dtype, use_fast_variance=False, name="norm2")(tokens)
        hidden = Linear(4 * size, "normal", dtype=self.dtype, name="hidden")(normalised)
        output = Linear(size, "normal", dtype=self.dtype, name="output")(gelu(hidden))
        return materialised(tokens + self._scaled(output, "scale2"))

    def _scaled(self, x: Tokens, name: str) -> Tokens:
        if self.layer_scale is None:
            return x
        draw = nn.initializers.constant(self.layer_scale)
        return x * self.param(name, draw, (x.shape[-1],), jnp.float32).astype(self.dtype)


class VisionTransformer(nn.Module):
    """Blocks on the tokens of non-overlapping patches and one class token."""

    size: int
    num_heads: int
    patch_size: int
    depth: int
    tied: bool
    dtype: str
    convolution: ConvolutionName
    rematerialise: bool
    layer_scale: float | None
    num_registers: int
    class_position: bool
    position_size: int | None
    position_interpolation: Interpolation
    position_offset: float

    @nn.compact
    def __call__(self, images: Images, train: bool) -> tuple[Float[Array, "batch size"], dict[str, Array]]:
        tokens = self._embed(images)
        features = {"tokens": tokens}
        build = rematerialised(TransformerBlock, self.rematerialise)
        options = (self.num_heads, self.dtype, self.layer_scale)
        shared = build(*options, name="block") if self.tied else None
        for i in range(1, self.depth + 1):
            block = shared or build(*options, name=f"block{i}")
            tokens = features[f"block{i}"] = block(tokens)
        # Only the class token is read, so only it need be normalised.
        embedding = nn.LayerNorm(dtype=self.dtype, use_fast_variance=False, name="norm")(tokens[:, 0])
        return embedding, features | {"embedding": embedding}

    def _embed(self, images: Images) -> Tokens:
        batch, height, width, channels = images.shape
        if height % self.patch_size or width % self.patch_size:
            raise ArgumentError(
                "patch_size",
                f"is {self.patch_size} but must divide the image's {height}x{width} pixels",
                "take a common divisor",
            )
        draw = uniform_fan_in(channels * self.patch_size**2)
        embed = conv(
            self.size,
            self.patch_size,
            stride=self.patch_size,
            kernel_init=draw,
            bias_init=draw,
            dtype=self.dtype,
            convolution=self.convolution,
            name="patches",
        )
        patches = embed(images).reshape(batch, -1, self.size)
        class_token = self.param("class_token", truncated_normal, (1, 1, self.size), jnp.float32)
        position = self._position((height // self.patch_size, width // self.patch_size))
        first = jnp.broadcast_to(class_token, (batch, 1, self.size))
        if self.class_position:
            tokens = jnp.concatenate([first, patches], axis=1) + position
        else:
            tokens = jnp.concatenate([first, patches + position], axis=1)
        if self.num_registers:
            registers = self.param("registers", truncated_normal, (1, self.num_registers, self.size), jnp.float32)
            registers = jnp.broadcast_to(registers, (batch, *registers.shape[1:]))
            tokens = jnp.concatenate([tokens[:, :1], registers, tokens[:, 1:]], axis=1)
        return tokens.astype(self.dtype)

    def _position(self, grid: tuple[int, int]) -> Float[Array, "1 tokens size"]:
        """The position embedding of a grid of patches, interpolated where it is kept for another."""
        side = None if self.position_size is None else self.position_size // self.patch_size
        kept = grid if side is None else (side, side)
        shape = (1, kept[0] * kept[1] + self.class_position, self.size)
        position = self.param("position", truncated_normal, shape, jnp.float32)
        if kept == grid:
            return position
        own, patches = jnp.split(position, [int(self.class_position)], axis=1)
        patches = patches.reshape(*kept, self.size)
        patches = interpolate_positions(patches, grid, self.position_interpolation, self.position_offset)
        return jnp.concatenate([own, patches.reshape(1, -1, self.size)], axis=1)


def vit(
    size: int,
    num_heads: int,
    *,
    patch_size: int = 8,
    depth: int = 12,
    tied: bool = False,
    dtype: ComputeType = "float32",
    convolution: ConvolutionName = "auto",
    rematerialise: bool = False,
    layer_scale: float | None = None,
    num_registers: int = 0,
    class_position: bool = True,
    position_size: int | None = None,
    position_interpolation: Interpolation = "antialiased",
    position_offset: float = 0.0,
) -> Model:
    """The vision transformers that ``ENCODERS`` knows by name.

    The released code of Random Teachers uses one block twelve times; ``tied=True, patch_size=16`` on 32x32 images has
    exactly the parameter counts of the paper's Table 5. (That code also attends across the heads of one token, which
    is not reproduced.)

    Args:
        size: of a token and of the embedding.
        num_heads: of the attention; divides the size.
        patch_size: side of a patch in pixels; divides the image's sides.
        depth: number of blocks.
        tied: whether all blocks share their parameters.
        dtype: type of the computation; parameters and embeddings are float32.
        convolution: how to compute the patch embedding; ``auto`` chooses by platform.
        rematerialise: whether each block is computed again in the backward pass, which saves memory and costs time.
        layer_scale: where the trained factors begin that multiply what each block adds; None for no such factors.
        num_registers: tokens beside the class token that belong to no patch and are not read.
        class_position: whether the class token has a position embedding too.
        position_size: side in pixels of the square images for whose patches position embeddings are kept; for images
            of another size they are interpolated. None keeps those of the size that the network is initialised with,
            and takes no other.
        position_interpolation, position_offset: how, see ``interpolate_positions``.
    Raises:
        ArgumentError: a number is out of range.
    """
    check_range("patch_size", patch_size, 1)
    check_range("depth", depth, 1)
    check_range("num_registers", num_registers, 0)
    check_range("position_offset", position_offset, 0)
    if position_size is not None and (position_size < patch_size or position_size % patch_size):
        raise ArgumentError("position_size", f"is {position_size} but must be a multiple of patch_size, {patch_size}")
    options = (tied, dtype, convolution, rematerialise, layer_scale, num_registers)
    positions = (class_position, position_size, position_interpolation, position_offset)
    module = VisionTransformer(size, num_heads, patch_size, depth, *options, *positions)
    return from_linen(module, _architecture(num_heads, depth, tied, layer_scale is not None, num_registers))


def _architecture(num_heads: int, depth: int, tied: bool, scaled: bool, num_registers: int) -> Architecture:
    """The hidden units of each block, and one group for the components of a token, to which every block adds.

    Queries, keys and values stay in their order, since heads are told apart by it.
    """
    layers, attentions, norms, scales = [Layer("patches", None, "tokens")], [], ["norm"], []
    for block in ("block",) if tied else tuple(f"block{i}" for i in range(1, depth + 1)):
        joint, joined = f"{block}/attention/query_key_value", f"{block}/attention/output"
        layers += [Layer(joint, "tokens", None), Layer(joined, None, "tokens")]
        hidden = f"{block}/hidden"
        layers += [Layer(hidden, "tokens", hidden, activation=gelu), Layer(f"{block}/output", hidden, "tokens")]
        attentions.append(Attention(f"{block}/attention", num_heads, (joint,), joined))
        norms += [f"{block}/norm1", f"{block}/norm2"]
        scales += [f"{block}/scale1", f"{block}/scale2"] if scaled else []
    token = (None, None, "tokens")
    others = [("class_token", token), ("position", token), *([("registers", token)] if num_registers else [])]
    others += [(scale, ("tokens",)) for scale in scales]
    others += [(f"{norm}/{name}", ("tokens",)) for norm in norms for name in ("scale", "bias")]
    return Architecture(
        tuple(layers),
        embedding="tokens",
        attentions=tuple(attentions),
        blocks=("tokens", *(f"block{i}" for i in range(1, depth + 1))),
        other_axes=tuple(others),
    )


ARCHITECTURES = {"vit_tiny": (192, 3), "vit_small": (384, 6), "vit_medium": (512, 8), "vit_base": (768, 12)}
for _name, _sizes in ARCHITECTURES.items():
    ENCODERS.register(_name)(partial(vit, *_sizes))
ENCODERS.register("vit_large")(partial(vit, 1024, 16, depth=24))
