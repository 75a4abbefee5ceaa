"""Curvature against dense Hessians, numpy's eigenvalues and explicit sums."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from repcon_jax.derivatives import batched, hessian_vector_product
from repcon_jax.errors import ArgumentError
from repcon_jax.landscape.curvature import hessian_trace, leading_eigenpairs
from repcon_jax.landscape.fisher import fisher_trace
from repcon_jax.landscape.lanczos import lanczos
from repcon_jax.losses import softmax_cross_entropy_with_labels
from repcon_jax.trees import combine, dot

KEY = jax.random.key(0)


def values(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


PARAMS = {"first": {"kernel": values(0, 3, 4), "bias": values(1, 4)}, "second": {"kernel": values(2, 4, 3)}}
SIZE = 28
INPUTS, LABELS = values(3, 8, 3), jnp.arange(8) % 3


def network(params, inputs):
    hidden = jnp.tanh(inputs @ params["first"]["kernel"] + params["first"]["bias"])
    return hidden @ params["second"]["kernel"]


def batch_loss(params, batch):
    return softmax_cross_entropy_with_labels(network(params, batch[0]), batch[1])


def loss(params):
    return batch_loss(params, (INPUTS, LABELS))


def flat(tree):
    return np.asarray(ravel_pytree(tree)[0], np.float64)


@pytest.fixture(scope="module")
def dense():
    start, unravel = ravel_pytree(PARAMS)
    hessian = np.asarray(jax.jit(jax.hessian(lambda vector: loss(unravel(vector))))(start), np.float64)
    return (hessian + hessian.T) / 2


def tree_of(vector):
    return ravel_pytree(PARAMS)[1](jnp.asarray(vector, jnp.float32))


def quadratic(matrix):
    return lambda x: 0.5 * jnp.vdot(x, matrix @ x)


def test_hessian_products_agree_with_the_dense_hessian_under_jit_and_vmap(dense):
    vectors = values(5, 3, SIZE)
    product = jax.jit(jax.vmap(lambda vector: hessian_vector_product(loss, PARAMS, vector)))
    actual = product(jax.vmap(ravel_pytree(PARAMS)[1])(vectors))
    for index, vector in enumerate(vectors):
        one = jax.tree.map(lambda leaf, at=index: leaf[at], actual)
        np.testing.assert_allclose(flat(one), dense @ np.asarray(vector), atol=1e-5)


def test_hessian_products_agree_with_central_differences_of_the_gradient():
    vector = tree_of(values(6, SIZE))
    step, gradient = 1e-2, jax.jit(jax.grad(loss))
    ahead, behind = (gradient(combine([PARAMS, vector], [1.0, sign * step])) for sign in (1, -1))
    difference = (flat(ahead) - flat(behind)) / (2 * step)
    actual = flat(hessian_vector_product(loss, PARAMS, vector))
    # Of the order of step^2 from the third derivative.
    np.testing.assert_allclose(actual, difference, atol=2e-3 * np.abs(actual).max())


def test_a_loss_over_batches_is_the_loss_of_all_examples_and_so_are_its_derivatives():
    batches = (INPUTS.reshape(4, 2, 3), LABELS.reshape(4, 2))
    mean, vector = batched(batch_loss, batches), tree_of(values(7, SIZE))
    actual, expected = (jax.jit(jax.value_and_grad(f))(PARAMS) for f in (mean, loss))
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(flat(actual[1]), flat(expected[1]), atol=1e-6)
    actual, expected = (jax.jit(lambda v, f=f: hessian_vector_product(f, PARAMS, v))(vector) for f in (mean, loss))
    np.testing.assert_allclose(flat(actual), flat(expected), atol=1e-5)


def test_as_many_iterations_as_parameters_give_the_whole_spectrum(dense):
    matrix = jnp.asarray(dense, jnp.float32)
    actual = jax.jit(lambda key: lanczos(lambda vector: matrix @ vector, key, SIZE, SIZE))(KEY)
    np.testing.assert_allclose(actual.basis @ actual.basis.T, np.eye(SIZE), atol=1e-5)
    np.testing.assert_allclose(np.linalg.eigvalsh(actual.dense()), np.linalg.eigvalsh(dense), atol=1e-5)
    np.testing.assert_allclose(actual.basis @ dense @ actual.basis.T, actual.dense(), atol=1e-5)


@pytest.mark.parametrize("order", ["magnitude", "algebraic"])
def test_leading_eigenpairs_agree_with_numpy(dense, order):
    values, vectors = np.linalg.eigh(dense)
    chosen = np.argsort(-(np.abs(values) if order == "magnitude" else values))[:3]
    actual = jax.jit(lambda key: leading_eigenpairs(loss, PARAMS, key, count=3, iterations=20, order=order))(KEY)
    np.testing.assert_allclose(actual.values, values[chosen], rtol=1e-4)
    for index, column in enumerate(chosen):
        one = jax.tree.map(lambda leaf, at=index: leaf[at], actual.vectors)
        np.testing.assert_allclose(abs(flat(one) @ vectors[:, column]), 1.0, rtol=1e-3)
        np.testing.assert_allclose(flat(one) @ flat(one), 1.0, rtol=1e-5)
        error = np.linalg.norm(dense @ flat(one) - actual.values[index] * flat(one))
        np.testing.assert_allclose(actual.residuals[index], error, atol=1e-5)


def test_an_eigenvalue_lies_within_the_residual_even_before_convergence(dense):
    actual = jax.jit(lambda key: leading_eigenpairs(loss, PARAMS, key, iterations=3))(KEY)
    gap = np.min(np.abs(np.linalg.eigvalsh(dense) - float(actual.values[0])))
    assert float(actual.residuals[0]) > 1e-4
    assert gap <= float(actual.residuals[0]) + 1e-5


@functools.partial(jax.jit, static_argnums=1)
def eigenpairs_of_diagonal(diagonal, order="magnitude"):
    return leading_eigenpairs(quadratic(jnp.diag(diagonal)), jnp.ones(6), KEY, count=6, iterations=50, order=order)


def test_the_order_tells_negative_curvature_from_positive():
    diagonal = jnp.array([-3.0, 1.0, 2.0, 0.5, -0.2, 0.1])
    by_magnitude = eigenpairs_of_diagonal(diagonal)
    np.testing.assert_allclose(by_magnitude.values, [-3.0, 2.0, 1.0, 0.5, -0.2, 0.1], rtol=1e-5)
    by_value = eigenpairs_of_diagonal(diagonal, "algebraic")
    np.testing.assert_allclose(by_value.values, [2.0, 1.0, 0.5, 0.1, -0.2, -3.0], rtol=1e-5)


@pytest.mark.parametrize("diagonal", [[0.0] * 6, [2.0] * 6, [5.0, 5.0, 1.0, 1.0, 1.0, 0.0]])
def test_invariant_subspaces_are_left_without_nan_and_repeated_eigenvalues_are_all_found(diagonal):
    actual = eigenpairs_of_diagonal(jnp.array(diagonal))
    np.testing.assert_allclose(actual.values, diagonal, atol=1e-5)
    np.testing.assert_allclose(actual.vectors @ actual.vectors.T, np.eye(6), atol=1e-5)
    np.testing.assert_allclose(actual.residuals, np.zeros(6), atol=1e-5)


def test_impossible_counts_are_refused():
    with pytest.raises(ArgumentError, match=r"count is 29 but must lie in \[1, 28\]"):
        leading_eigenpairs(loss, PARAMS, KEY, count=29)
    with pytest.raises(ArgumentError, match=r"iterations is 2 but must lie in \[3, inf\]"):
        leading_eigenpairs(loss, PARAMS, KEY, count=3, iterations=2)
    with pytest.raises(ArgumentError, match=r"iterations is 5 but must lie in \[1, 4\]"):
        lanczos(lambda vector: vector, KEY, 4, 5)


def test_random_signs_estimate_the_trace_within_their_standard_error(dense):
    samples = 400
    actual = jax.jit(lambda key: hessian_trace(loss, PARAMS, key, samples))(KEY)
    off_diagonal = dense - np.diag(np.diag(dense))
    expected_error = np.sqrt(2 * np.sum(off_diagonal**2) / samples)
    np.testing.assert_allclose(actual.standard_error, expected_error, rtol=0.3)
    assert abs(float(actual.mean) - np.trace(dense)) < 4 * expected_error


def test_random_signs_give_the_trace_of_a_diagonal_hessian_exactly():
    actual = hessian_trace(quadratic(jnp.diag(jnp.array([1.0, -2.0, 4.0]))), values(0, 3), KEY, samples=5)
    assert (float(actual.mean), float(actual.standard_error)) == (3.0, 0.0)


def explicit_fisher_trace():
    """Per example, the sum over classes written out."""
    log_probability = lambda params, x, label: jax.nn.log_softmax(network(params, x[None])[0])[label]  # noqa: E731
    gradient = jax.jit(jax.grad(log_probability))
    probabilities = np.asarray(jax.nn.softmax(network(PARAMS, INPUTS)))
    squares = [[float(dot(g, g)) for g in (gradient(PARAMS, x, label) for label in range(3))] for x in INPUTS]
    return np.sum(probabilities * np.array(squares), axis=1)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_exact_fisher_trace_is_the_sum_over_classes(batch_size):
    expected = explicit_fisher_trace()
    actual = jax.jit(lambda params: fisher_trace(network, params, INPUTS, batch_size=batch_size))(PARAMS)
    np.testing.assert_allclose(actual.mean, expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(actual.standard_error, expected.std(ddof=1) / np.sqrt(8), rtol=1e-5)


def test_drawn_labels_give_the_fisher_trace_on_average():
    expected = explicit_fisher_trace()
    actual = jax.jit(lambda key: fisher_trace(network, PARAMS, INPUTS, key, samples=2000, batch_size=8))(KEY)
    np.testing.assert_allclose(actual.mean, expected.mean(), rtol=0.05)


def test_the_fisher_trace_is_the_hessian_trace_of_a_linear_classifier():
    params, linear = values(8, 3, 4), lambda params, inputs: inputs @ params
    labels = jnp.zeros(8, jnp.int32)
    hessian = jax.jit(jax.hessian(lambda p: softmax_cross_entropy_with_labels(linear(p, INPUTS), labels)))(params)
    trace = np.einsum("ijij->", np.asarray(hessian))
    actual = jax.jit(lambda p: fisher_trace(linear, p, INPUTS))(params)
    np.testing.assert_allclose(actual.mean, trace, rtol=1e-5)
