"""Convolution for the CPU equals the library's, with its derivatives; pooling equals reduce_window."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from repcon_jax.machine import cpu_compiler
from repcon_jax.models.kernels import choose_convolution, linear_map, max_pool
from repcon_jax.models.kernels.convolution import cpu_convolution
from repcon_jax.models.kernels.winograd import tile_size

LAYOUT = ("NHWC", "HWIO", "NHWC")
METHODS = ["direct", "im2col", "winograd"]


def _operands(height, width, kernel_height, kernel_width, channels=3, features=2):
    draw = np.random.default_rng(height * 100 + width)
    shapes = (2, height, width, channels), (kernel_height, kernel_width, channels, features)
    return tuple(jnp.asarray(draw.normal(size=shape), jnp.float32) for shape in shapes)


@st.composite
def convolutions(draw):
    kernel = draw(st.sampled_from([(1, 1), (2, 2), (3, 3), (1, 3), (4, 4), (7, 7)]))
    strides = draw(st.sampled_from([(1, 1), (2, 2), (1, 2), kernel]))
    zeros = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = draw(st.sampled_from(["SAME", "VALID"]) | st.tuples(zeros, zeros))
    size = [draw(st.integers(k, 9)) for k in kernel]
    return size, kernel, strides, padding


@settings(max_examples=8, deadline=None, derandomize=True)
@given(case=convolutions())
def test_values_and_derivatives_equal_the_library_convolution(case):
    size, kernel, strides, padding = case
    operands = _operands(*size, *kernel)

    def value_and_derivatives(convolution):
        def scalar(images, weights):
            output = convolution(images, weights, strides, padding)
            weight = jnp.cos(jnp.arange(output.size, dtype=jnp.float32)).reshape(output.shape)
            return jnp.sum(weight * output), output

        return jax.value_and_grad(scalar, (0, 1), has_aux=True)(*operands)

    library = partial(lax.conv_general_dilated, dimension_numbers=LAYOUT)
    ours = [partial(cpu_convolution, method=method) for method in METHODS]
    # One program per case: compiling takes nearly all the time.
    expected, *results = jax.jit(lambda: [value_and_derivatives(c) for c in (library, *ours)])()
    for result in results:
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), result, expected)


@pytest.mark.parametrize("method", METHODS)
def test_forward_mode_works_for_curvature(method):
    images, kernel = _operands(5, 4, 3, 3)

    def ours(k):
        return cpu_convolution(images, k, (1, 1), "SAME", method=method)

    # The convolution is linear in its kernel, so its derivative along the kernel is itself.
    value, tangent = jax.jvp(ours, (kernel,), (kernel,))
    np.testing.assert_allclose(value, tangent, rtol=1e-6)


@pytest.mark.parametrize("name", ["auto", "xla", *METHODS])
def test_every_choice_serves_a_linen_convolution(name):
    images, _ = _operands(6, 6, 3, 3)
    layer = nn.Conv(4, (3, 3), strides=2, padding=1, conv_general_dilated=choose_convolution(name))
    plain = nn.Conv(4, (3, 3), strides=2, padding=1)
    variables = plain.init(jax.random.key(0), images)
    np.testing.assert_allclose(layer.apply(variables, images), plain.apply(variables, images), atol=1e-5)


def test_auto_is_the_library_convolution_except_on_cpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert choose_convolution("auto") is lax.conv_general_dilated
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert choose_convolution("auto") is not lax.conv_general_dilated


@pytest.mark.parametrize(
    ("flags", "side", "channels", "dtype", "method"),
    [
        ("", 8, 3, "float32", "im2col"),
        ("", 8, 64, "float32", "winograd"),
        (cpu_compiler.flag(), 8, 3, "float32", "direct"),
        (cpu_compiler.flag(), 8, 64, "float32", "direct"),
        (cpu_compiler.flag(), 8, 128, "float32", "winograd"),
        (cpu_compiler.flag(), 2, 64, "float32", "im2col"),
        (cpu_compiler.flag(), 8, 64, "bfloat16", "im2col"),
        (cpu_compiler.flag(), 8, 128, "bfloat16", "im2col"),
    ],
)
def test_auto_on_cpu_chooses_by_shape_and_type_and_by_what_the_compiler_was_told(
    monkeypatch, flags, side, channels, dtype, method
):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setenv("XLA_FLAGS", flags)
    operands = [a.astype(dtype) for a in _operands(side, side, 3, 3, channels, channels)]
    program = str(jax.make_jaxpr(partial(choose_convolution("auto"), window_strides=(1, 1), padding="SAME"))(*operands))
    tiles = (tile_size(side, side, channels) + 2) ** 2
    signs = {"direct": "direct_convolution", "winograd": f"f32[{tiles},{channels},{channels}]"}
    assert [name for name, sign in signs.items() if sign in program] == [method] * (method != "im2col")


def test_auto_on_several_cpu_devices_keeps_every_image_where_it_is(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    monkeypatch.setenv("XLA_FLAGS", cpu_compiler.flag())
    assert choose_convolution("auto").keywords == {"method": "im2col"}


@pytest.mark.parametrize("unfit", [{"rhs_dilation": (2, 2)}, {"feature_group_count": 3}])
def test_dilation_and_groups_are_refused_rather_than_ignored(unfit):
    images, kernel = _operands(6, 6, 3, 3)
    with pytest.raises(ValueError, match="neither dilation nor groups"):
        cpu_convolution(images, kernel, (1, 1), "SAME", **unfit)


@pytest.mark.parametrize("batch", [(), (7,), (20, 5), (2, 3, 4), (0, 5)])
def test_a_linear_map_is_a_product_along_the_last_axis_and_so_are_its_derivatives(batch):
    draw = np.random.default_rng(0)
    inputs, kernel = (jnp.asarray(draw.normal(size=shape), jnp.float32) for shape in ((*batch, 3), (3, 4)))

    def run(product):
        value, transpose = jax.vjp(product, inputs, kernel)
        return value, *transpose(jnp.cos(value))

    found, expected = run(partial(linear_map, precision="highest")), run(partial(jnp.matmul, precision="highest"))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found, expected)


def test_a_linear_map_and_its_derivatives_are_products_of_two_matrices():
    tokens, kernel = jnp.ones((20, 5, 3)), jnp.ones((3, 4))
    derivative = jax.grad(lambda *operands: jnp.sum(jnp.cos(linear_map(*operands, None))), argnums=(0, 1))
    equations = jax.make_jaxpr(derivative)(tokens, kernel).eqns
    products = [[v.aval.ndim for v in e.invars] for e in equations if e.primitive.name == "dot_general"]
    assert products == [[2, 2]] * 3


@pytest.mark.parametrize(("window", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 3, 0)])
@pytest.mark.parametrize("size", [(6, 6), (7, 9)])
def test_max_pool_equals_reduce_window(window, stride, padding, size):
    images, _ = _operands(*size, 1, 1)
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    expected = lax.reduce_window(images, -jnp.inf, lax.max, (1, window, window, 1), (1, stride, stride, 1), around)
    np.testing.assert_array_equal(max_pool(images, window, stride, padding), expected)


def test_max_pool_sends_the_gradient_to_the_maximum():
    images = jnp.array([[1.0, 4.0], [3.0, 2.0]]).reshape(1, 2, 2, 1)
    gradient = jax.grad(lambda x: max_pool(x).sum())(images)
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 1], [0, 0]])
