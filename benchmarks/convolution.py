"""Rates of 3x3 convolutions in a compiled loop, by implementation and shape; writes one JSON file.

    python -m benchmarks.convolution benchmarks/convolution_cpu.json

Operations are counted as those of the direct sum, whatever the method spends, so rates compare times. XLA's own
convolution is left out: inside a compiled loop on CPU its derivatives are tens of times slower than any of these.
"""

import pathlib
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from repcon_jax.machine import cpu_compiler

if TYPE_CHECKING:
    from collections.abc import Callable

    import jax

BATCH, REPEATS, STEPS = 64, 5, 3
METHODS = ("im2col", "direct", "winograd", "auto")
# (side in pixels, input channels, output channels) of the convolutions of VGG11, then those that only ResNet18 has.
VGG11 = ((32, 3, 64), (16, 64, 128), (8, 128, 256), (8, 256, 256), (4, 256, 512), (4, 512, 512), (2, 512, 512))
SHAPES = (*VGG11, (32, 64, 64), (16, 128, 128))


def seconds(function: "Callable[..., jax.Array]", *arguments: "jax.Array") -> float:
    """Median wall-clock seconds of a call, after one to compile."""
    import jax

    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - began)
    return sorted(times)[REPEATS // 2]


def rates(method: str, shape: tuple[int, int, int]) -> dict[str, float]:
    """GFLOP/s of the forward pass, and of forward and backward together, inside a loop of three steps."""
    import jax
    import jax.numpy as jnp

    from repcon_jax.models.kernels.convolution import choose_convolution

    side, inputs, outputs = shape
    images = jnp.ones((BATCH, side, side, inputs))
    kernel = jnp.full((3, 3, inputs, outputs), 0.01)
    convolve = partial(choose_convolution(method), window_strides=(1, 1), padding="SAME")

    @jax.jit
    def forward(x: jax.Array, k: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, STEPS, lambda i, c: c + jnp.sum(convolve(x + c * 1e-9, k)[0, 0, 0]), 0.0)

    @jax.jit
    def both(x: jax.Array, k: jax.Array) -> jax.Array:
        def loss(x: jax.Array, k: jax.Array) -> jax.Array:
            return jnp.sum(jax.nn.relu(convolve(x, k)))

        def body(_: jax.Array, c: jax.Array) -> jax.Array:
            dx, dk = jax.grad(loss, argnums=(0, 1))(x + c * 1e-9, k)
            return c + dx[0, 0, 0, 0] + dk[0, 0, 0, 0]

        return jax.lax.fori_loop(0, STEPS, body, 0.0)

    flops = 2 * BATCH * side * side * 9 * inputs * outputs * STEPS
    return {
        "forward": flops / seconds(forward, images, kernel) / 1e9,
        "forward_and_backward": 3 * flops / seconds(both, images, kernel) / 1e9,
    }


def main(path: str) -> None:
    """Measures every method on every shape."""
    cpu_compiler.enable()  # before JAX is imported
    from repcon_jax.records.files import write_json
    from repcon_jax.records.workdir import describe_environment

    table = {"x".join(map(str, shape)): {method: rates(method, shape) for method in METHODS} for shape in SHAPES}
    about = {"unit": "GFLOP/s", "batch": BATCH, "environment": describe_environment()}
    write_json(pathlib.Path(path), {**about, "rates": table})
    for shape, by_method in table.items():
        print(shape, {m: [round(r) for r in times.values()] for m, times in by_method.items()})


if __name__ == "__main__":
    main(sys.argv[1])
