"""Paths against their definitions in NumPy; the ends to the bit."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repcon_jax.errors import TreeError
from repcon_jax.landscape.paths import (
    PATHS,
    bezier_path,
    curve,
    initial_bends,
    linear_path,
    piecewise_path,
    spherical_path,
)
from repcon_jax.trees import dot, lerp, norm

call = jax.jit(lambda path, t: path(t))


def tree(seed, scale=1.0):
    first, second = jax.random.split(jax.random.key(seed))
    return {
        "a": {"kernel": scale * jax.random.normal(first, (3, 4))},
        "b": scale * jax.random.normal(second, (5,)).astype(jnp.bfloat16),
    }


def vector(*entries):
    return {"w": jnp.array(entries, jnp.float32)}


def points_of(kind, seed=0):
    return [tree(seed + i, 0.3 + i) for i in range(2 if kind in ("linear", "spherical") else 4)]


def assert_equal(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)
    assert jax.tree.map(jnp.result_type, actual) == jax.tree.map(jnp.result_type, expected)


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(sorted(PATHS)))
def test_the_ends_are_the_points_given_to_the_bit(seed, kind):
    points = points_of(kind, seed)
    path = PATHS[kind](points)
    assert_equal(call(path, 0.0), points[0])
    assert_equal(call(path, 1.0), points[-1])
    assert_equal(path(0), points[0])
    many = jax.vmap(path)(jnp.array([0.0, 0.4, 1.0]))
    assert_equal(jax.tree.map(lambda leaf: leaf[0], many), points[0])
    assert_equal(jax.tree.map(lambda leaf: leaf[2], many), points[-1])


@pytest.mark.parametrize("kind", sorted(PATHS))
def test_the_derivative_in_t_is_that_of_finite_differences_and_not_lost_at_the_ends(kind):
    path = PATHS[kind]([vector(*np.random.default_rng(i).normal(size=4)) for i in range(2)])
    for t, low, high in [(0.0, 0.0, 0.01), (0.5, 0.495, 0.505), (1.0, 0.99, 1.0)]:
        _, tangent = jax.jvp(lambda t: path(t)["w"], (t,), (1.0,))
        np.testing.assert_allclose(tangent, (path(high)["w"] - path(low)["w"]) / (high - low), atol=0.03)


def test_linear_is_lerp():
    first, second = tree(0), tree(1)
    for t in (0.25, 0.5):
        actual, expected = call(linear_path(first, second), t), lerp(first, second, t)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-2, atol=1e-2), actual, expected)
        np.testing.assert_allclose(actual["a"]["kernel"], expected["a"]["kernel"], rtol=1e-4, atol=1e-6)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), t=st.floats(0, 1, width=32))
@pytest.mark.parametrize("kind", ["linear", "piecewise", "bezier"])
def test_a_path_from_a_network_to_itself_stays_there_to_the_bit(kind, seed, t):
    point = tree(seed)
    assert_equal(call(PATHS[kind]([point, point]), t), point)


def test_bezier_agrees_with_de_casteljau():
    points = [np.random.default_rng(i).normal(size=3) for i in range(5)]
    for count in (2, 3, 5):
        for t in (0.1, 0.5, 0.85):
            left = points[:count]
            while len(left) > 1:
                left = [(1 - t) * a + t * b for a, b in itertools.pairwise(left)]
            actual = call(bezier_path([vector(*point) for point in points[:count]]), t)["w"]
            np.testing.assert_allclose(actual, left[0], rtol=1e-5, atol=1e-6)


def test_piecewise_passes_through_every_point_and_halfway_between():
    points = [vector(0.0, 1.0), vector(4.0, 1.0), vector(4.0, -7.0), vector(0.0, 0.0), vector(1.0, 1.0)]
    path = piecewise_path(points)
    for i, point in enumerate(points):
        assert_equal(call(path, i / 4), point)
    assert_equal(call(path, 0.375), vector(4.0, -3.0))
    _, tangent = jax.jvp(lambda t: path(t)["w"], (0.25,), (1.0,))
    np.testing.assert_array_equal(tangent, [0.0, -32.0])


def test_spherical_is_the_circle_in_the_plane():
    start, end = vector(2.0, 0.0), vector(0.0, 2.0)
    for t in (0.1, 0.3, 0.75):
        angle = t * np.pi / 2
        expected = 2 * np.array([np.cos(angle), np.sin(angle)])
        np.testing.assert_allclose(call(spherical_path(start, end), t)["w"], expected, rtol=1e-5)


def test_spherical_interpolates_the_norm_and_turns_evenly():
    start, end = tree(0), tree(1, 3.0)
    start, end = (jax.tree.map(lambda leaf: leaf.astype(jnp.float32), t) for t in (start, end))
    path = spherical_path(start, end)

    def angle(first, second):
        return float(jnp.arccos(dot(first, second) / norm(first) / norm(second)))

    for t in (0.2, 0.5, 0.9):
        point = call(path, t)
        assert float(norm(point)) == pytest.approx((1 - t) * float(norm(start)) + t * float(norm(end)), rel=1e-5)
        assert angle(start, point) == pytest.approx(t * angle(start, end), rel=1e-4)


@pytest.mark.parametrize("distance", [0.0, 1e-20, 1e-7, 1e-4])
def test_spherical_is_linear_where_the_ends_are_close(distance):
    start, end = vector(1.0, 2.0), vector(1.0 + distance, 2.0)
    actual = call(spherical_path(start, end), 0.25)["w"]
    np.testing.assert_allclose(actual, linear_path(start, end)(0.25)["w"], rtol=1e-6)


def test_spherical_refuses_ends_without_a_direction_or_opposite_to_each_other():
    with pytest.raises(TreeError, match=r"'point 1' is zero, which has no direction to turn from; take"):
        spherical_path(vector(1.0, 0.0), vector(0.0, 0.0))
    with pytest.raises(TreeError, match=r"are opposite to each other, so every great circle joins them; take"):
        spherical_path(vector(1.0, 0.0), vector(-2.0, 0.0))


@pytest.mark.parametrize("kind", sorted(PATHS))
def test_wrong_points_are_named(kind):
    with pytest.raises(TreeError, match=r"'point 1' has shape \(3,\) at 'w' where 'point 0' has \(2,\)"):
        PATHS[kind]([vector(1.0, 2.0), vector(1.0, 2.0, 3.0)])
    with pytest.raises(TreeError, match=r"is given by 1 points but needs"):
        PATHS[kind]([vector(1.0)])


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_two_ended_paths_refuse_a_third_point(kind):
    with pytest.raises(TreeError, match=f"kind '{kind}' is given by 3 points but needs exactly 2; take 'piecewise'"):
        PATHS[kind]([vector(1.0), vector(2.0), vector(3.0)])


@pytest.mark.parametrize("kind", ["bezier", "polygonal"])
def test_a_curve_with_its_first_bends_is_the_straight_line(kind):
    start, end = vector(1.0, 2.0, 3.0), vector(-1.0, 0.0, 5.0)
    bends = initial_bends(start, end, 3)
    np.testing.assert_allclose(bends["w"][0], linear_path(start, end)(0.25)["w"])
    path = curve(kind, start, end, bends)
    for t in (0.0, 0.2, 0.6, 1.0):
        np.testing.assert_allclose(call(path, t)["w"], linear_path(start, end)(t)["w"], rtol=1e-5, atol=1e-6)


def test_a_curve_takes_its_bends_in_order():
    bends = {"w": jnp.array([[10.0], [20.0]])}
    path = curve("polygonal", vector(0.0), vector(0.0), bends)
    assert [float(path(i / 3)["w"][0]) for i in range(4)] == pytest.approx([0, 10, 20, 0])
