"""Layers that several families share, with PyTorch's initialisations."""

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.models.kernels import ConvolutionName, choose_convolution, linear_map
from repcon_jax.typing import Key

ComputeType = Literal["float32", "bfloat16"]
Initialiser = Callable[..., Array]


def kaiming_normal(key: Key, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """Normal with variance 2 / fan_out, where fan_out = kernel height * kernel width * features.

    Source: He et al., arXiv 1502.01852; torchvision's vgg.py and resnet.py, kaiming_normal_(mode="fan_out").
    """
    fan_out = math.prod(shape[:-2]) * shape[-1]
    return math.sqrt(2 / fan_out) * _draw_flat(jax.random.normal, key, shape, dtype)


def truncated_normal(key: Key, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """Normal with standard deviation 0.02, cut at +-2 absolute, a hundred standard deviations, so in effect not cut.

    Source: torch.nn.init.trunc_normal_(std=0.02), whose bounds a=-2 and b=2 are absolute.
    """
    return 0.02 * _draw_flat(jax.random.normal, key, shape, dtype)


def uniform_fan_in(fan_in: int) -> Initialiser:
    """Uniform between plus and minus 1 / sqrt(fan_in), for kernels and biases.

    Source: torch.nn.Linear and torch.nn.Conv2d, reset_parameters.
    """
    bound = 1 / math.sqrt(fan_in)

    def initialise(key: Key, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        return bound * (2 * _draw_flat(jax.random.uniform, key, shape, dtype) - 1)

    return initialise


def _draw_flat(draw: Callable[..., Array], key: Key, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    # The same numbers as draw(key, shape), but XLA's CPU compiler takes ten times longer over four axes than over one.
    return draw(key, (math.prod(shape),), dtype).reshape(shape)


def l2_normalise(x: Float[Array, "*shape"], axis: int = -1) -> Float[Array, "*shape"]:
    """``x / |x|`` along an axis; a vector shorter than 1e-12 becomes zero and gets the gradient zero.

    Args:
        x: vectors.
        axis: axis of the vectors' components.

    >>> l2_normalise(jnp.array([3.0, 4.0])).tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    square = jnp.sum(x * x, axis, keepdims=True)
    positive = square > 1e-24
    # Two wheres: the branch that is not taken must not divide by zero, or its gradient is NaN times zero.
    return jnp.where(positive, x * jax.lax.rsqrt(jnp.where(positive, square, 1)), 0)


def rematerialised(module: type[nn.Module], on: bool, static_argnums: tuple[int, ...] = ()) -> type[nn.Module]:
    """The module's class, whose activations, if ``on``, are computed again in the backward pass and not kept.

    Args:
        module: class of a module; its parameters keep their names.
        on: whether to do so.
        static_argnums: Python values among the arguments of its call, where ``self`` is number 0.
    """
    return nn.remat(module, static_argnums=static_argnums) if on else module


def scale_width(size: int, width: float) -> int:
    """Channels of a layer in a network of relative width ``width``, at least one.

    Raises:
        ArgumentError: the width is not positive.
    """
    check_range("width", width, 0, open_low=True)
    return max(1, round(size * width))


class Linear(nn.Module):
    """``y = x W + b``, where with weight normalisation every output's column of W has unit norm and no gain.

    Args:
        features: number of outputs.
        initialisation: ``uniform`` is PyTorch's default, U(+-1/sqrt(inputs)) for kernel and bias; ``normal`` is
            N(0, 0.02^2) with bias zero; ``zeros`` is all zero.
        use_bias: whether there is a bias.
        weight_normalisation: whether the kernel's columns are divided by their norm on every call.
        dtype: type of the computation; parameters are float32.
        precision: of the matrix product.
    """

    features: int
    initialisation: Literal["uniform", "normal", "zeros"] = "uniform"
    use_bias: bool = True
    weight_normalisation: bool = False
    dtype: str = "float32"
    precision: str | None = None

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch size"]) -> Float[Array, "*batch features"]:
        fan_in, zeros = inputs.shape[-1], nn.initializers.zeros
        draw = {"uniform": uniform_fan_in(fan_in), "normal": truncated_normal, "zeros": zeros}[self.initialisation]
        kernel = self.param("kernel", draw, (fan_in, self.features), jnp.float32)
        if self.weight_normalisation:
            kernel = l2_normalise(kernel, axis=0)
        outputs = linear_map(jnp.asarray(inputs, self.dtype), jnp.asarray(kernel, self.dtype), self.precision)
        if self.use_bias:
            draw_bias = draw if self.initialisation == "uniform" else zeros
            outputs += self.param("bias", draw_bias, (self.features,), jnp.float32).astype(self.dtype)
        return outputs


def conv(
    features: int,
    kernel_size: int,
    *,
    name: str,
    stride: int = 1,
    padding: int = 0,
    use_bias: bool = True,
    kernel_init: Initialiser = kaiming_normal,
    bias_init: Initialiser = nn.initializers.zeros,
    dtype: str = "float32",
    convolution: ConvolutionName = "auto",
) -> nn.Conv:
    """A square convolution of the family's initialisation, computed by the method that ``convolution`` names."""
    return nn.Conv(
        features,
        (kernel_size, kernel_size),
        strides=stride,
        padding=padding,
        use_bias=use_bias,
        kernel_init=kernel_init,
        bias_init=bias_init,
        dtype=dtype,
        conv_general_dilated=choose_convolution(convolution),
        name=name,
    )
