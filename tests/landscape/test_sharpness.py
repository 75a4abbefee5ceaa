"""Sharpness against the closed forms of quadratics, and slopes of valleys that are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ArgumentError
from repcon_jax.landscape.sharpness import sharpness
from repcon_jax.landscape.slopes import one_sided_slopes, valley_asymmetry

KEY = jax.random.key(0)


def values(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


FACTOR = values(0, 6, 6)
HESSIAN = FACTOR @ FACTOR.T
GRADIENT = values(1, 6)


def quadratic(x):
    """With the gradient GRADIENT at 0."""
    return jnp.vdot(GRADIENT, x) + 0.5 * jnp.vdot(x, HESSIAN @ x)


def bowl(x):
    """With its minimum at 0."""
    return 0.5 * jnp.vdot(x, HESSIAN @ x)


def test_one_step_has_the_closed_form_of_a_quadratic_for_every_radius():
    radii = jnp.array([0.01, 0.1, 1.0])
    actual = jax.jit(jax.vmap(lambda radius: sharpness(quadratic, jnp.zeros(6), radius)))(radii)
    gradient, hessian = np.asarray(GRADIENT, np.float64), np.asarray(HESSIAN, np.float64)
    length = np.linalg.norm(gradient)
    curvature = gradient @ hessian @ gradient / length**2
    np.testing.assert_allclose(actual, radii * length + 0.5 * radii**2 * curvature, rtol=1e-5)


def test_many_steps_at_a_minimum_find_the_leading_eigenvalue():
    actual = jax.jit(lambda key: sharpness(bowl, jnp.zeros(6), 0.3, steps=60, key=key))(KEY)
    np.testing.assert_allclose(actual, 0.5 * 0.3**2 * np.linalg.eigvalsh(HESSIAN)[-1], rtol=1e-4)


def test_more_steps_find_no_less_and_nothing_in_the_ball_is_sharper_than_many():
    rises = [float(jax.jit(functools.partial(sharpness, quadratic, steps=n))(jnp.zeros(6), 0.7)) for n in (1, 2, 50)]
    assert rises == sorted(rises)
    points = values(2, 2000, 6)
    points *= 0.7 / jnp.linalg.norm(points, axis=1, keepdims=True)
    assert float(jnp.max(jax.vmap(quadratic)(points))) <= rises[-1] * (1 + 1e-5)


def test_a_minimum_without_a_random_start_and_a_maximum_are_flat_without_nan():
    assert float(sharpness(bowl, jnp.zeros(6), 0.3, steps=2)) == 0.0
    assert float(sharpness(lambda x: -bowl(x), jnp.zeros(6), 0.3, key=KEY)) == 0.0


PARAMS = {"kernel": values(3, 2, 3, 4), "bias": values(4, 4)}


def weighted_sum(params):
    return jnp.sum(params["kernel"] * values(5, 2, 3, 4)) + jnp.sum(params["bias"] * values(6, 4))


def test_filters_are_changed_relative_to_their_norms_and_other_parameters_to_their_values():
    # For a linear loss with gradient g the maximum is rho ||T g||.
    scaled = [
        np.linalg.norm(PARAMS["kernel"], axis=(0, 1)) * np.asarray(values(5, 2, 3, 4)),
        np.abs(PARAMS["bias"]) * np.asarray(values(6, 4)),
    ]
    expected = 0.2 * np.sqrt(sum(np.sum(np.square(part)) for part in scaled))
    for steps in (1, 3):
        actual = jax.jit(functools.partial(sharpness, weighted_sum, steps=steps, scale="filter"))(PARAMS, 0.2)
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_filterwise_sharpness_does_not_see_the_scale_of_filters():
    factors = jnp.array([0.1, 1.0, 3.0, 20.0])

    def loss(params):
        return jnp.sum(jnp.cos(params["kernel"])) + jnp.sum(jnp.sin(params["bias"]))

    def rescaled_loss(params):
        return loss(jax.tree.map(lambda leaf: leaf / factors, params))

    rescaled = jax.tree.map(lambda leaf: leaf * factors, PARAMS)
    for steps in (1, 4):
        actual = [
            float(sharpness(*given, 0.2, steps=steps, scale="filter"))
            for given in ((loss, PARAMS), (rescaled_loss, rescaled))
        ]
        np.testing.assert_allclose(*actual, rtol=1e-4)


def test_impossible_radii_and_steps_are_refused():
    with pytest.raises(ArgumentError, match=r"radius is 0.0 but must lie in \(0, inf\]"):
        sharpness(bowl, jnp.zeros(6), 0.0)
    with pytest.raises(ArgumentError, match="steps is 0"):
        sharpness(bowl, jnp.zeros(6), 0.1, steps=0)


LINE = jnp.linspace(-2.0, 3.0, 51)


def valley(x, left, right, at=0.0):
    return jnp.where(x < at, left * (at - x), right * (x - at)) + 0.7


@pytest.mark.parametrize("window", [None, 0.5])
def test_slopes_and_asymmetry_of_a_kink(window):
    losses = valley(LINE, 4.0, 1.0, at=0.5)
    slopes = one_sided_slopes(losses, LINE, 0.5, window)
    np.testing.assert_allclose(slopes, [-4.0, 1.0], rtol=1e-4)
    np.testing.assert_allclose(valley_asymmetry(losses, LINE, 0.5, window), -0.6, rtol=1e-4)


def test_slopes_agree_with_least_squares_over_the_window_in_any_order():
    order = np.random.default_rng(0).permutation(51)
    losses = jnp.square(LINE) + 0.1 * values(7, 51)
    slopes = one_sided_slopes(losses[order], LINE[order], 0.0, 1.55)
    line = np.round(np.asarray(LINE, float), 1)
    for actual, is_used in zip(slopes, [(line <= 0) & (line >= -1.55), (line >= 0) & (line <= 1.55)], strict=True):
        expected = np.polyfit(line[is_used], np.asarray(losses, float)[is_used], 1)[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_a_symmetric_valley_has_no_asymmetry_a_mirrored_one_the_opposite_and_a_one_sided_one_all():
    line = jnp.linspace(-1.0, 1.0, 21)
    cases = [jnp.square(line), valley(line, 1.0, 3.0), valley(line, 3.0, 1.0), valley(line, 0.0, 2.0), 0.0 * line]
    actual = jax.jit(jax.vmap(valley_asymmetry, in_axes=(0, None)))(jnp.stack(cases), line)
    np.testing.assert_allclose(actual, [0.0, 0.5, -0.5, 1.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(valley_asymmetry(10.0 * cases[1], 0.1 * line), 0.5, rtol=1e-5)


def test_the_root_of_a_parabola_has_slopes_that_do_not_depend_on_the_window():
    losses = jnp.where(LINE < 0, 9.0, 1.0) * jnp.square(LINE)
    for window in (0.5, 2.0):
        np.testing.assert_allclose(one_sided_slopes(jnp.sqrt(losses), LINE, 0.0, window), [-3.0, 1.0], rtol=1e-4)


def test_a_side_without_two_points_has_no_slope():
    slopes = one_sided_slopes(jnp.array([0.0, 1.0, 2.0]), jnp.array([0.0, 1.0, 2.0]))
    assert np.isnan(slopes.left)
    assert np.isnan(valley_asymmetry(jnp.array([0.0, 1.0, 2.0]), jnp.array([0.0, 1.0, 2.0])))
    np.testing.assert_allclose(slopes.right, 1.0)
