import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.dynamics import exponential_moving_average, interpolate, neighbourhood, replace_every, view_pairs
from repcon_jax.errors import ArgumentError
from repcon_jax.trees import distance, lerp, named_leaves, norm

KEYS = jax.random.split(jax.random.key(0), 2)
TEACHER, FRESH = ({"a": jax.random.normal(k, (300, 100)), "b": {"c": jax.random.normal(k, (7,))}} for k in KEYS)


def equal(first, second):
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), first, second)))


@pytest.mark.parametrize("preserving", [True, False])
def test_the_ends_of_an_interpolation_are_its_ends_exactly(preserving):
    assert equal(interpolate(TEACHER, FRESH, 0.0, variance_preserving=preserving), TEACHER)
    assert equal(interpolate(TEACHER, FRESH, 1.0, variance_preserving=preserving), FRESH)


@pytest.mark.parametrize("locality", [0.2, 0.5, 0.8])
def test_interpolation_preserves_the_variance_of_independent_entries(locality):
    mixed = interpolate(TEACHER, FRESH, locality)["a"]
    assert float(jnp.std(mixed)) == pytest.approx(1.0, abs=0.02)
    delta = np.sqrt(locality**2 + (1 - locality) ** 2)
    plain = interpolate(TEACHER, FRESH, locality, variance_preserving=False)["a"]
    np.testing.assert_allclose(mixed * delta, plain, rtol=1e-5, atol=1e-6)


def test_a_neighbour_lies_epsilon_norms_of_its_direction_away():
    near = neighbourhood(TEACHER, FRESH, 1e-2)
    assert float(distance(near, TEACHER)) == pytest.approx(1e-2 * float(norm(FRESH)), rel=1e-3)
    assert equal(neighbourhood(TEACHER, FRESH, 0.0), TEACHER)
    assert float(jnp.std(neighbourhood(TEACHER, FRESH, 2.0, variance_preserving=True)["a"])) == pytest.approx(
        1, abs=0.02
    )


@pytest.mark.parametrize(("function", "value"), [(interpolate, 1.5), (interpolate, -0.1), (neighbourhood, -1.0)])
def test_starts_out_of_range_are_refused(function, value):
    with pytest.raises(ArgumentError, match=r"(locality|epsilon) is .* but must lie in"):
        function(TEACHER, FRESH, value)


def test_a_moving_average_of_a_constant_student_decays_geometrically():
    teacher = TEACHER
    for _ in range(5):
        teacher = exponential_moving_average(teacher, FRESH, 0.9)
    expected = lerp(FRESH, TEACHER, 0.9**5)
    np.testing.assert_allclose(teacher["a"], expected["a"], rtol=1e-5, atol=1e-5)
    assert equal(exponential_moving_average(TEACHER, FRESH, 1.0), TEACHER)
    assert equal(exponential_moving_average(TEACHER, FRESH, 0.0), FRESH)


def test_a_teacher_is_replaced_at_positive_multiples_alone():
    replaced = [step for step in range(10) if equal(replace_every(TEACHER, FRESH, jnp.int32(step), 3), FRESH)]
    assert replaced == [3, 6, 9]


def test_pairs_of_views():
    assert view_pairs("same", 2, 4) == [(0, 0), (1, 1)]
    assert len(view_pairs("all", 2, 4)) == 8
    assert set(view_pairs("opposite", 2, 4)) == set(view_pairs("all", 2, 4)) - set(view_pairs("same", 2, 4))
    with pytest.raises(ArgumentError, match="a single view"):
        view_pairs("opposite", 1, 1)


def test_norm_and_distance_are_those_of_one_long_vector():
    flat = np.concatenate([np.ravel(leaf) for leaf in named_leaves(TEACHER).values()]).astype(np.float64)
    other = np.concatenate([np.ravel(leaf) for leaf in named_leaves(FRESH).values()]).astype(np.float64)
    assert float(norm(TEACHER)) == pytest.approx(np.linalg.norm(flat), rel=1e-5)
    assert float(distance(TEACHER, FRESH)) == pytest.approx(np.linalg.norm(flat - other), rel=1e-5)
    assert list(named_leaves(TEACHER)) == ["a", "b/c"]
