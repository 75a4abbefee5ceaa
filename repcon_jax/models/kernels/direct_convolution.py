"""XLA's own convolution with derivatives in the form that XLA's CPU backend computes fast inside loops too.

Images x, kernel k and maps y of a convolution meet in one form that is linear in each,

    T(x, k, y) = sum_{n, i, j, a, b} x[n, s i + a - p, s j + b - p] k[a, b] y[n, i, j],

whose derivative by one of them is a function of the other two: the maps, or the cotangent of the images or of the
kernel. That function is one primitive, closed under differentiation in either mode and to any order. Each of its three
cases is written as a convolution of images [n, h, w, c] with a kernel [a, b, c, f], because inside a compiled loop the
CPU backend leaves others as they are and computes them hundreds of times slower.
"""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channels"]
Maps = Float[Array, "batch rows columns features"]
Kernel = Float[Array, "kernel_height kernel_width channels features"]
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]
Part = Literal["maps", "images", "kernel"]

_convolve = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def direct_convolution(images: Images, kernel: Kernel, strides: Pair, pads: Pads, precision: Any = None) -> Maps:
    """``y[n, i, j] = sum_ab x[n, s i + a - p, s j + b - p] @ kernel[a, b]``.

    Args:
        images: x.
        kernel: what they are convolved with.
        strides: vertical and horizontal, s.
        pads: zeros around the image, ((top, bottom), (left, right)).
        precision: of the products, as in ``jax.lax.dot``.
    Returns:
        [batch, rows, columns, features] of the images' type; sums over images are float32 at least.
    """
    sizes = images.shape[1:3], kernel.shape[:2]
    return _convolution.bind(
        images, kernel, wanted="maps", sizes=sizes, strides=tuple(strides), pads=pads, precision=precision
    )


_convolution = Primitive("direct_convolution")


def _part(
    left: Array, right: Array, *, wanted: Part, sizes: tuple[Pair, Pair], strides: Pair, pads: Pads, precision: Any
) -> Array:
    image, window = sizes
    if wanted == "maps":
        return _convolve(left, right, strides, pads, precision=precision)
    if wanted == "images" and strides != (1, 1):
        return _spread(left, right, image, strides, pads, precision)
    if wanted == "images":
        turned = jnp.flip(right, (0, 1)).swapaxes(2, 3)
        around = [_pads_of_images(*axis) for axis in zip(image, window, pads, left.shape[1:3], strict=True)]
        return _convolve(left, turned, (1, 1), around, precision=precision)
    axes = zip(image, window, strides, pads, right.shape[1:3], strict=True)
    around = [_pads_of_kernel(*axis) for axis in axes]
    wide = jnp.promote_types(left.dtype, jnp.float32)
    given = {"rhs_dilation": strides, "precision": precision, "preferred_element_type": wide}
    turned = left.transpose(3, 1, 2, 0), right.transpose(1, 2, 0, 3)
    return _convolve(*turned, (1, 1), around, **given).transpose(1, 2, 0, 3).astype(left.dtype)


def _spread(maps: Maps, kernel: Kernel, image: Pair, strides: Pair, pads: Pads, precision: Any) -> Images:
    products = jnp.tensordot(maps, kernel, ((3,), (3,)), precision=precision)

    def placed(row: int, column: int) -> Images:
        edges = [(at - pad[0], size) for at, pad, size in zip((row, column), pads, image, strict=True)]
        axes = [
            (low, size - low - (count - 1) * stride - 1, stride - 1)
            for (low, size), count, stride in zip(edges, maps.shape[1:3], strides, strict=True)
        ]
        zero = jnp.zeros((), products.dtype)
        return lax.pad(products[:, :, :, row, column], zero, ((0, 0, 0), *axes, (0, 0, 0)))

    return sum(placed(row, column) for row in range(kernel.shape[0]) for column in range(kernel.shape[1]))


def _pads_of_images(image: int, window: int, pads: Pair, maps: int) -> Pair:
    before = window - 1 - pads[0]
    return before, image + window - 1 - maps - before


def _pads_of_kernel(image: int, window: int, stride: int, pads: Pair, maps: int) -> Pair:
    return pads[0], window + (maps - 1) * stride - image - pads[0]


# Which operands each part is computed from, in order.
OPERANDS: dict[Part, tuple[Part, Part]] = {
    "maps": ("images", "kernel"),
    "images": ("maps", "kernel"),
    "kernel": ("images", "maps"),
}


def _transpose(position: int, cotangent: Array, left: Any, right: Any, *, wanted: Part, **options: Any) -> Array:
    """The cotangent of one operand, of which JAX knows the shape only: the form with the cotangent as the result."""
    known = {wanted: cotangent, OPERANDS[wanted][1 - position]: (right, left)[position]}
    target = OPERANDS[wanted][position]
    return _convolution.bind(*(known[part] for part in OPERANDS[target]), wanted=target, **options)


def _batch(arrays: tuple[Array, Array], axes: tuple[int | None, int | None], **options: Any) -> tuple[Array, int]:
    if options["wanted"] != "kernel" and axes[1] is None:
        # One kernel for all: their images are one larger batch.
        stacked = jnp.moveaxis(arrays[0], axes[0], 0)
        merged = _convolution.bind(stacked.reshape(-1, *stacked.shape[2:]), arrays[1], **options)
        return merged.reshape(*stacked.shape[:2], *merged.shape[1:]), 0
    # XLA would make groups of them, which the CPU backend computes slowly.
    mapped = [jnp.moveaxis(a, axis, 0) for a, axis in zip(arrays, axes, strict=True) if axis is not None]

    def one(slices: list[Array]) -> Array:
        slice_of_each = iter(slices)
        return _convolution.bind(
            *(a if axis is None else next(slice_of_each) for a, axis in zip(arrays, axes, strict=True)), **options
        )

    return lax.map(one, mapped), 0


_convolution.def_impl(lambda *arrays, **options: jax.jit(partial(_part, **options))(*arrays))
_convolution.def_abstract_eval(
    lambda *shapes, **options: jax.core.ShapedArray(
        (result := jax.eval_shape(partial(_part, **options), *shapes)).shape, result.dtype
    )
)
ad.defbilinear(_convolution, partial(_transpose, 0), partial(_transpose, 1))
batching.primitive_batchers[_convolution] = _batch
mlir.register_lowering(_convolution, mlir.lower_fun(_part, multiple_results=False))
