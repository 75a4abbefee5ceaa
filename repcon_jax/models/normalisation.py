"""Normalisation layers with PyTorch's defaults: epsilon 1e-5 and, for batch norm, an unbiased running variance."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError, check_range

Normalisation = Literal["batch", "instance", "group", "group_of_8", "layer", "none"]
Features = Float[Array, "batch *pixels channels"]
Parts = Float[Array, "parts part *pixels channels"]
Statistics = Float[Array, "parts *ones channels"]
Channels = Float[Array, " channels"]

EPSILON = 1e-5
MOMENTUM = 0.1


class Normalise(nn.Module):
    """One normalisation layer by name, ``y = (x - mean) / sqrt(var + 1e-5) * scale + bias`` per channel.

    The statistics are those of: ``batch``, a channel over batch and pixels; ``instance``, a channel of one image;
    ``group``, one of 8 groups of channels of one image; ``group_of_8``, a group of 8 channels of one image, which is
    what the released code of Random Teachers does; ``layer``, a whole image. ``none`` is the identity.

    In training ``batch`` takes the statistics of each of ``batch_norm_parts`` equal, consecutive parts of the batch,
    and the running ones move towards their mean over the parts. Under jit a batch that is sharded over devices is
    still one batch, so one part is the global batch whatever the number of devices, and N parts are what other
    frameworks call per-device statistics on N devices.

    Sources: torch.nn.BatchNorm2d(C) and torch.nn.GroupNorm(G, C) with G = C, 8, C / 8 and 1.
    """

    kind: Normalisation
    dtype: str = "float32"
    batch_norm_parts: int = 1

    @nn.compact
    def __call__(self, inputs: Features, train: bool) -> Features:
        if self.kind == "none":
            return inputs
        channels = inputs.shape[-1]
        x = inputs.astype(jnp.float32)
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        if self.kind == "batch":
            x = self._normalise_batch(x, scale, bias, train)
        else:
            x = standardise_groups(x, group_count(self.kind, channels)) * scale + bias
        return x.astype(self.dtype)

    def _normalise_batch(self, x: Features, scale: Channels, bias: Channels, train: bool) -> Features:
        channels = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32)
        if not train:
            return (x - running_mean.value) * lax.rsqrt(running_var.value + EPSILON) * scale + bias
        output, mean, var = batch_norm(split_batch(x, self.batch_norm_parts), scale, bias)
        count = x.size // (channels * self.batch_norm_parts)
        unbiased = var * (count / max(count - 1, 1))
        part_mean, part_var = (s.reshape(-1, channels).mean(0) for s in (mean, unbiased))
        running_mean.value = (1 - MOMENTUM) * running_mean.value + MOMENTUM * part_mean
        running_var.value = (1 - MOMENTUM) * running_var.value + MOMENTUM * part_var
        return output.reshape(x.shape)


@jax.custom_jvp
def batch_norm(parts: Parts, scale: Channels, bias: Channels) -> tuple[Parts, Statistics, Statistics]:
    """``(x - mean) / sqrt(var + 1e-5) * scale + bias`` with the statistics of each part, and these.

    The derivative is in closed form: transposed it takes two sums over the batch, where that of the statistics'
    definitions takes five, and on CPU a batch norm costs what it reads and writes. For the same reason everything is a
    sum of the inputs and a constant per channel, as in PyTorch's CPU code: an ``x - mean`` that several terms share
    would be written and read again. A mean of N standard deviations costs N times the rounding error.

    Args:
        parts: [parts, part, *pixels, channels].
        scale, bias: [channels].
    Returns:
        The output like ``parts``, and mean and biased variance [parts, 1, ..., 1, channels].

    Source: Ioffe and Szegedy, arXiv 1502.03167, section 3.
    """
    mean = _part_mean(parts)
    var = _part_mean(jnp.square(parts - mean))
    gain = scale * lax.rsqrt(var + EPSILON)
    return gain * parts + (bias - gain * mean), mean, var


@batch_norm.defjvp
def _batch_norm_jvp(
    primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    (x, scale, _), (x_dot, scale_dot, bias_dot) = primals, tangents
    output, mean, var = batch_norm(*primals)
    inverse = lax.rsqrt(var + EPSILON)
    mean_dot = _part_mean(x_dot)
    along = inverse * (_part_mean(x * x_dot) - mean * mean_dot)
    # All that depends on sums is per channel here, so that its transpose needs no further sums.
    gain = scale * inverse
    slope = inverse * (scale_dot - gain * along)
    output_dot = gain * x_dot + (bias_dot - gain * mean_dot - slope * mean) + slope * x
    return (output, mean, var), (output_dot, mean_dot, 2 * along / inverse)


def _part_mean(parts: Parts) -> Statistics:
    return parts.mean(tuple(range(1, parts.ndim - 1)), keepdims=True)


def check_batch_norm_parts(parts: int, kind: Normalisation) -> None:
    """Raises ArgumentError unless an encoder of this normalisation can take so many parts."""
    check_range("batch_norm_parts", parts, 1)
    if parts > 1 and kind != "batch":
        raise ArgumentError(
            "batch_norm_parts",
            f"is {parts} but the normalisation is {kind!r}, which does not look at the batch",
            "take batch_norm_parts=1 or normalisation='batch'",
        )


def split_batch(x: Features, parts: int) -> Float[Array, "parts part *pixels channels"]:
    """The batch as equal, consecutive parts.

    Args:
        x: features.
        parts: their number.
    Raises:
        ArgumentError: the batch can't be divided so.
    """
    if x.shape[0] % parts:
        raise ArgumentError(
            "batch_norm_parts",
            f"is {parts} but the batch has {x.shape[0]} images, which can't be divided into parts of one size",
            "take a batch of a multiple of it or batch_norm_parts=1",
        )
    return x.reshape(parts, -1, *x.shape[1:])


def group_count(kind: Normalisation, channels: int) -> int:
    """Number of groups into which a layer of ``channels`` channels is divided.

    Raises:
        ArgumentError: the channels can't be divided so.

    >>> group_count("group", 64), group_count("group_of_8", 128), group_count("layer", 64)
    (8, 16, 1)
    """
    if kind in ("group", "group_of_8") and channels % 8:
        raise ArgumentError(
            "normalisation",
            f"is {kind!r} but a layer has {channels} channels, which must be a multiple of 8",
            "choose such a width or the normalisation 'layer'",
        )
    return {"instance": channels, "group": 8, "group_of_8": channels // 8, "layer": 1}[kind]


def standardise_groups(x: Features, groups: int) -> Features:
    """``(x - mean) / sqrt(var + 1e-5)`` over the pixels and channels of each group of each image.

    Args:
        x: features.
        groups: divides the number of channels.
    Raises:
        ArgumentError: a group has one value, which would become 0 whatever it was.
    """
    if x[0].size == groups:
        raise ArgumentError(
            "normalisation",
            "is 'instance' but a layer has a single pixel per channel, of which nothing would be left",
            "choose another normalisation, fewer stages or larger images",
        )
    grouped = x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
    axes = (*range(1, x.ndim - 1), x.ndim)
    mean, var = grouped.mean(axes, keepdims=True), grouped.var(axes, keepdims=True)
    return ((grouped - mean) * lax.rsqrt(var + EPSILON)).reshape(x.shape)
