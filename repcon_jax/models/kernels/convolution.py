"""Two-dimensional convolution that is fast on every platform, inside ``lax.scan`` too.

The derivatives of XLA's CPU convolution, as JAX writes them, are tens of times slower inside ``lax.scan`` than outside.
As matrix products, or written as XLA likes them best, they are not. On a GPU or TPU the library convolution stays.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from repcon_jax.machine import cpu_compiler
from repcon_jax.models.kernels.direct_convolution import direct_convolution
from repcon_jax.models.kernels.patches import Images, Maps, Patches, patches_of, shifted_slices
from repcon_jax.models.kernels.products import linear_map
from repcon_jax.models.kernels.winograd import winograd_convolution

ConvolutionName = Literal["auto", "xla", "direct", "im2col", "winograd"]
Method = Literal["direct", "im2col", "winograd"]
Kernel = Float[Array, "kernel_height kernel_width channels features"]
Padding = str | Sequence[tuple[int, int]]

# Winograd's transforms cost as much for one channel on the other side as for hundreds. These are the fewest channels
# on both sides at which it beats im2col, and at which it beats a direct convolution.
_FEWEST_CHANNELS_OF_WINOGRAD = {"im2col": 32, "direct": 128}
# XLA's convolution is tens of times slower on smaller maps.
_SMALLEST_SIDE_OF_DIRECT = 3


def choose_convolution(name: ConvolutionName) -> Callable[..., Array]:
    """The function that ``nn.Conv(conv_general_dilated=...)`` takes.

    Args:
        name: ``xla`` for ``lax.conv_general_dilated``; ``direct`` for the same with other derivatives; ``im2col`` for
            one matrix product with the concatenated shifted images; ``winograd`` for 2.25 to 4 times fewer products
            where the kernel is 3x3 and the stride 1, and im2col elsewhere; ``auto`` for one of the last three, by shape
            and type, on CPU and xla on other platforms. Patches that do not overlap (stride = window) and 1x1 kernels
            are one product in all of the last three, see ``linear_map``.

    Rates by shape: benchmarks/convolution.py. On CPU ``auto`` is direct only where XLA was told to compute
    convolutions itself, see ``repcon_jax.machine.cpu_compiler``. On several CPU devices it is im2col, the only one
    whose operations all keep the batch as first axis, so that every image stays where it is.
    """
    if name == "xla" or (name == "auto" and jax.default_backend() != "cpu"):
        return lax.conv_general_dilated
    if name != "auto":
        return functools.partial(cpu_convolution, method=name)
    if jax.device_count() > 1:
        return functools.partial(cpu_convolution, method="im2col")
    return functools.partial(_fastest_convolution, "direct" if _direct_is_fast() else "im2col")


def cpu_convolution(
    lhs: Images,
    rhs: Kernel,
    window_strides: Sequence[int],
    padding: Padding,
    *,
    method: Method = "im2col",
    precision: Any = None,
    **unused: Any,
) -> Maps:
    """``y[n, i, j] = sum_ab x[n, s i + a - p, s j + b - p] @ kernel[a, b]``, fast on the CPU.

    Args:
        lhs: images.
        rhs: kernel.
        window_strides: vertical and horizontal stride.
        padding: ``"SAME"``, ``"VALID"`` or zeros to add ``((top, bottom), (left, right))``.
        method: see ``choose_convolution``.
        precision: of the products, as in ``jax.lax.dot``.
        **unused: dilations and groups, which ``nn.Conv`` passes and which must be one; layouts, NHWC and HWIO.
    Raises:
        ValueError: the convolution is dilated or grouped.
    """
    _check_plain(unused)
    window, strides = rhs.shape[:2], tuple(window_strides)
    pads = _pads(lhs, window, strides, padding)
    whole_patches = window == strides
    if method == "direct" and not whole_patches:
        return direct_convolution(lhs, rhs, strides, pads, precision)
    if method == "winograd" and _fits_winograd(window, strides):
        return winograd_convolution(lhs, rhs, pads, precision)
    images = jnp.pad(lhs, ((0, 0), *pads, (0, 0))) if any(map(any, pads)) else lhs
    if whole_patches:
        return _product_of_patches(patches_of(images, window), rhs, precision)
    columns = jnp.concatenate(shifted_slices(images, window, strides), axis=-1)
    return linear_map(columns, rhs.reshape(-1, rhs.shape[-1]), precision)


def _fastest_convolution(
    other: Method, lhs: Images, rhs: Kernel, window_strides: Sequence[int], padding: Padding, **options: Any
) -> Maps:
    """Winograd where it pays, else the other method where that does, else im2col."""
    exact = lhs.dtype in (jnp.float32, jnp.float64)  # of less Winograd makes too little, and direct was not measured
    wide = min(rhs.shape[2:]) >= _FEWEST_CHANNELS_OF_WINOGRAD[other]
    small = min(lhs.shape[1:3]) < _SMALLEST_SIDE_OF_DIRECT
    if exact and wide and _fits_winograd(rhs.shape[:2], tuple(window_strides)):
        other = "winograd"
    elif not exact or small:
        other = "im2col"
    return cpu_convolution(lhs, rhs, window_strides, padding, method=other, **options)


def _direct_is_fast() -> bool:
    return jax.default_backend() == "cpu" and jax.device_count() == 1 and cpu_compiler.convolves_itself()


def _fits_winograd(window: Sequence[int], strides: Sequence[int]) -> bool:
    return (*window, *strides) == (3, 3, 1, 1)


def _product_of_patches(patches: Patches, kernel: Kernel, precision: Any) -> Maps:
    flat = patches.reshape(*patches.shape[:3], math.prod(patches.shape[3:]))
    return linear_map(flat, kernel.reshape(flat.shape[-1], -1), precision)


def _check_plain(unused: dict[str, Any]) -> None:
    dilations = [*(unused.get("lhs_dilation") or ()), *(unused.get("rhs_dilation") or ())]
    if any(d != 1 for d in dilations) or unused.get("feature_group_count", 1) != 1:
        raise ValueError("cpu_convolution takes neither dilation nor groups; use the convolution 'xla'.")


def _pads(
    images: Images, window: Sequence[int], strides: Sequence[int], padding: Padding
) -> tuple[tuple[int, int], tuple[int, int]]:
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:3], window, strides, padding)
    top_bottom, left_right = (tuple(p) for p in padding)
    return top_bottom, left_right
