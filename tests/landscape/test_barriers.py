import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repcon_jax.landscape.barriers import all_pairs, barrier, barrier_over_mean, instability

values_of = st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=12)


def test_a_parabola_on_a_slope_has_the_height_of_its_top():
    t = np.linspace(0, 1, 101)
    values = 4 * 0.7 * t * (1 - t) + 3 + 2 * t
    assert float(barrier(values)) == pytest.approx(0.7, rel=1e-12)
    # max of 2.8 t (1 - t) + 2 t - 1 lies at t = 4.8 / 5.6
    assert float(barrier_over_mean(values)) == pytest.approx(4.8**2 / (4 * 2.8) - 1, rel=1e-4)


def test_coordinates_need_neither_be_equally_spaced_nor_lie_between_0_and_1():
    t = np.array([0.0, 0.05, 0.1, 0.5, 1.0])
    values = t * (1 - t) + 5 * t
    assert float(barrier(values, t)) == pytest.approx(0.25)
    assert float(barrier(values, 10 * t - 3)) == pytest.approx(0.25)
    assert float(barrier(values)) != pytest.approx(0.25)


@settings(deadline=None)
@given(values=values_of, on_device=st.booleans())
def test_bounds_of_both_heights(values, on_device):
    values = jnp.array(values) if on_device else np.array(values)
    excess, over_mean = float(barrier(values)), float(barrier_over_mean(values))
    half_step = abs(float(values[0]) - float(values[-1])) / 2
    assert excess >= 0
    assert over_mean >= 0
    slack = 1e-5 * max(1.0, float(abs(values).max()))
    assert half_step - slack <= over_mean <= excess + half_step + slack


@pytest.mark.parametrize("constant", [0.1, 2.3025851, 1e-30, -7.7])
def test_constants_have_exactly_no_barrier(constant):
    for values in (jnp.full(21, constant), np.full(21, constant), np.full(21, constant, np.float32)):
        assert float(barrier(values)) == 0.0
        assert float(jax.jit(barrier)(values)) == 0.0
        assert float(barrier_over_mean(values)) == 0.0


def test_a_straight_descent_has_no_barrier():
    assert float(barrier(np.linspace(3.0, 1.0, 11))) == pytest.approx(0, abs=1e-12)


def test_leading_axes_are_batches():
    values = np.random.default_rng(0).normal(size=(2, 3, 7))
    expected = [[barrier(row) for row in rows] for rows in values]
    np.testing.assert_allclose(barrier(values), expected)
    np.testing.assert_allclose(jax.jit(barrier)(values), expected, rtol=1e-5)
    np.testing.assert_allclose(barrier_over_mean(values)[1, 2], barrier_over_mean(values[1, 2]))


def test_instability_is_over_pairs():
    values = np.array([[1.0, 4.0, 1.0], [0.0, 0.0, 2.0], [1.0, 1.0, 1.0]])
    assert len(all_pairs(3)) == 3
    heights = np.array([3.0, 1.0, 0.0])
    actual = instability(values)
    assert {k: float(v) for k, v in actual.items()} == pytest.approx(
        {"mean": heights.mean(), "std": heights.std(), "min": 0.0, "max": 3.0}
    )


def test_a_single_point_is_no_path():
    with pytest.raises(ValueError, match="values has 1 points but a barrier needs both ends; give at least 2"):
        barrier(np.zeros(1))
