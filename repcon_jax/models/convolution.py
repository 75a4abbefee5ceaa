"""Two-dimensional convolution and max pooling that are fast on every platform, inside ``lax.scan`` too.

The derivatives of XLA's CPU convolution are tens of times slower inside ``lax.scan`` than outside, and on maps of 2x2
pixels all of it is slow everywhere. Written as matrix products it is neither. On a GPU or TPU the library convolution
stays.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from repcon_jax.models.winograd import winograd_convolution

ConvolutionName = Literal["auto", "xla", "im2col", "shifted", "winograd"]
Images = Float[Array, "batch height width channels"]
Maps = Float[Array, "batch rows columns features"]
Kernel = Float[Array, "kernel_height kernel_width channels features"]
Padding = str | Sequence[tuple[int, int]]

_FEWEST_CHANNELS_OF_WINOGRAD = 32


def choose_convolution(name: ConvolutionName) -> Callable[..., Array]:
    """The function that ``nn.Conv(conv_general_dilated=...)`` takes.

    Args:
        name: ``xla`` for ``lax.conv_general_dilated``; ``im2col`` for one matrix product with the concatenated
            shifted images; ``shifted`` for the sum of one product per kernel position, which needs no memory for the
            concatenation and is faster forward but slower backward; ``winograd`` for 2.25 to 4 times fewer products
            where the kernel is 3x3 and the stride 1, and im2col elsewhere; ``auto`` for winograd or im2col, by shape
            and type, on CPU and xla on other platforms. Patches that do not overlap (stride = window) and 1x1 kernels
            are a plain product in all of them.

    Rates by shape: experiments/benchmarks/convolution.py. On several CPU devices ``auto`` is im2col: winograd goes
    through blocks of consecutive images, which a batch that is spread over devices would have to exchange.
    """
    if name == "auto":
        on_cpu = "fastest" if jax.device_count() == 1 else "im2col"
        name = on_cpu if jax.default_backend() == "cpu" else "xla"
    if name == "xla":
        return lax.conv_general_dilated
    return functools.partial(matmul_convolution, method=name)


def matmul_convolution(
    lhs: Images,
    rhs: Kernel,
    window_strides: Sequence[int],
    padding: Padding,
    *,
    method: Literal["im2col", "shifted", "winograd", "fastest"] = "im2col",
    precision: Any = None,
    **unused: Any,
) -> Maps:
    """Convolution by matrix products, ``y[n, i, j] = sum_ab x[n, s i + a - p, s j + b - p] @ kernel[a, b]``.

    Args:
        lhs: images.
        rhs: kernel.
        window_strides: vertical and horizontal stride.
        padding: ``"SAME"``, ``"VALID"`` or zeros to add ``((top, bottom), (left, right))``.
        method: see ``choose_convolution``; ``fastest`` is its ``auto`` on CPU.
        precision: of the matrix product, as in ``jax.lax.dot``.
        **unused: dilations and groups, which ``nn.Conv`` passes and which must be one; layouts, NHWC and HWIO.
    Raises:
        ValueError: the convolution is dilated or grouped.
    """
    _check_plain(unused)
    window = rhs.shape[:2]
    pads = _pads(lhs, window, window_strides, padding)
    fits_winograd = (*window, *window_strides) == (3, 3, 1, 1)
    if fits_winograd and (method == "winograd" or (method == "fastest" and _winograd_pays(lhs, rhs))):
        return winograd_convolution(lhs, rhs, pads, precision)
    images = jnp.pad(lhs, ((0, 0), *pads, (0, 0))) if any(map(any, pads)) else lhs
    if tuple(window) == tuple(window_strides):
        return jnp.tensordot(_patches(images, window), rhs, 3, precision=precision)
    shifts = _shifted_slices(images, window, window_strides)
    if method == "shifted":
        kernels = rhs.reshape(-1, *rhs.shape[2:])
        return sum(jnp.matmul(s, k, precision=precision) for s, k in zip(shifts, kernels, strict=True))
    columns = jnp.concatenate(shifts, axis=-1)
    return jnp.matmul(columns, rhs.reshape(-1, rhs.shape[-1]), precision=precision)


def max_pool(images: Images, window: int = 2, stride: int = 2, padding: int = 0) -> Maps:
    """Maximum over windows; rows and columns that do not fill a window are dropped, as in PyTorch.

    Ties share the gradient evenly here and the first takes it all in PyTorch. After a ReLU, whose gradient at 0 is
    0, ties occur almost only among zeros, so nothing of that reaches the parameters.

    Args:
        images: what to pool.
        window: side of the window in pixels.
        stride: step between windows in pixels.
        padding: pixels of minus infinity around the image.
    """
    if padding:
        around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        images = jnp.pad(images, around, constant_values=-jnp.inf)
    if window == stride:
        # Reshape and max rather than reduce_window, whose gradient is slow on CPU.
        return _patches(images, (window, window)).max(axis=(3, 4))
    return functools.reduce(jnp.maximum, _shifted_slices(images, (window, window), (stride, stride)))


def _check_plain(unused: dict[str, Any]) -> None:
    dilations = [*(unused.get("lhs_dilation") or ()), *(unused.get("rhs_dilation") or ())]
    if any(d != 1 for d in dilations) or unused.get("feature_group_count", 1) != 1:
        raise ValueError("matmul_convolution takes neither dilation nor groups; use the convolution 'xla'.")


def _winograd_pays(images: Images, kernel: Kernel) -> bool:
    # The transforms cost as much for one channel on the other side as for hundreds, and round too coarsely for less
    # than float32.
    return min(kernel.shape[2:]) >= _FEWEST_CHANNELS_OF_WINOGRAD and images.dtype in (jnp.float32, jnp.float64)


def _pads(
    images: Images, window: Sequence[int], strides: Sequence[int], padding: Padding
) -> tuple[tuple[int, int], tuple[int, int]]:
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:3], window, strides, padding)
    top_bottom, left_right = (tuple(p) for p in padding)
    return top_bottom, left_right


def _output_size(size: int, window: int, stride: int) -> int:
    return (size - window) // stride + 1


def _patches(images: Images, window: Sequence[int]) -> Float[Array, "batch rows columns p q channels"]:
    (batch, height, width, channels), (p, q) = images.shape, window
    rows, columns = height // p, width // q
    images = images[:, : rows * p, : columns * q]
    return images.reshape(batch, rows, p, columns, q, channels).swapaxes(2, 3)


def _shifted_slices(images: Images, window: Sequence[int], strides: Sequence[int]) -> list[Maps]:
    (batch, height, width, channels), (sy, sx) = images.shape, strides
    last_y = (_output_size(height, window[0], sy) - 1) * sy
    last_x = (_output_size(width, window[1], sx) - 1) * sx
    return [
        lax.slice(images, (0, y, x, 0), (batch, y + last_y + 1, x + last_x + 1, channels), (1, sy, sx, 1))
        for y in range(window[0])
        for x in range(window[1])
    ]
