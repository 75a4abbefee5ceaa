"""Losses against float64 references and their own identities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from repcon_jax import losses


def random_logits(seed, batch=4, outputs=7, scale=1.0):
    return scale * jax.random.normal(jax.random.key(seed), (batch, outputs))


def kl_in_float64(teacher, student, teacher_temperature=1.0, student_temperature=1.0):
    log_p = scipy.special.log_softmax(np.asarray(teacher, np.float64) / teacher_temperature, axis=-1)
    log_q = scipy.special.log_softmax(np.asarray(student, np.float64) / student_temperature, axis=-1)
    return np.sum(np.exp(log_p) * (log_p - log_q), axis=-1)


@pytest.mark.parametrize("noise", [1e-4, 4.5e-4, 1.4e-3, 1.4e-2])
def test_kl_is_accurate_where_it_is_tiny_and_the_outputs_are_many(noise):
    teacher = random_logits(0, batch=3, outputs=65536)
    student = teacher + noise * random_logits(1, batch=3, outputs=65536)
    expected = kl_in_float64(teacher, student)
    assert 1e-9 < expected.max() < 2e-4
    np.testing.assert_allclose(losses.kl_divergences(teacher, student), expected, rtol=1e-3)


def test_kl_is_accurate_where_the_logits_share_a_large_offset():
    teacher = 100.0 + random_logits(0, outputs=4096)
    student = teacher + 1e-2 * random_logits(1, outputs=4096)
    np.testing.assert_allclose(losses.kl_divergences(teacher, student), kl_in_float64(teacher, student), rtol=1e-3)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0.1, 30.0),
    teacher_temperature=st.floats(0.04, 4.0),
    student_temperature=st.floats(0.04, 4.0),
)
def test_kl_agrees_with_scipy_and_cross_entropy_is_kl_plus_entropy(
    seed, scale, teacher_temperature, student_temperature
):
    teacher, student = random_logits(seed, scale=scale), random_logits(seed + 1, scale=scale)
    temperatures = (teacher_temperature, student_temperature)
    # A float32 logit of size x is itself known to x times the rounding unit only.
    largest = float(max(jnp.abs(teacher).max() / teacher_temperature, jnp.abs(student).max() / student_temperature))
    tolerance = {"rtol": 1e-4, "atol": 1e-6 + 5e-7 * largest}
    kl = losses.kl_divergences(teacher, student, *temperatures)
    np.testing.assert_allclose(kl, kl_in_float64(teacher, student, *temperatures), **tolerance)
    cross_entropies = losses.cross_entropies(teacher, student, *temperatures)
    np.testing.assert_allclose(cross_entropies, kl + losses.entropies(teacher, teacher_temperature), **tolerance)


def test_kl_and_its_gradient_are_exactly_zero_for_equal_logits():
    logits = random_logits(0, outputs=1000)
    value, gradient = jax.value_and_grad(losses.kl_divergence, argnums=1)(logits, logits, 0.3, 0.3)
    assert float(value) == 0.0
    assert not np.any(gradient)


def test_gradient_of_kl_is_the_difference_of_probabilities():
    teacher, student = random_logits(0, scale=3.0), random_logits(1, scale=3.0)
    gradient = jax.grad(losses.kl_divergence, argnums=1)(teacher, student, 1.0, 0.5)
    softmax = scipy.special.softmax
    expected = (softmax(np.asarray(student) / 0.5, axis=-1) - softmax(np.asarray(teacher), axis=-1)) / 0.5 / 4
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    same = jax.grad(losses.cross_entropy, argnums=1)(teacher, student, 1.0, 0.5)
    np.testing.assert_allclose(gradient, same, atol=1e-6)


def test_kl_stays_finite_where_teacher_and_student_are_certain_of_different_outputs():
    teacher, student = jnp.array([[500.0, 0.0, 0.0]]), jnp.array([[0.0, 500.0, 0.0]])
    value, gradient = jax.value_and_grad(losses.kl_divergence, argnums=1)(teacher, student)
    np.testing.assert_allclose(value, 500.0)
    np.testing.assert_allclose(gradient, [[-1.0, 1.0, 0.0]], atol=1e-6)


def test_entropy_agrees_with_scipy():
    logits = random_logits(3)
    expected = scipy.stats.entropy(scipy.special.softmax(np.asarray(logits, np.float64) / 0.5, axis=-1), axis=-1)
    np.testing.assert_allclose(losses.entropies(logits, 0.5), expected, rtol=1e-5)


def test_bfloat16_logits_are_reduced_in_float32():
    teacher, student = random_logits(0).astype(jnp.bfloat16), random_logits(1).astype(jnp.bfloat16)
    for loss in (losses.cross_entropy, losses.kl_divergence, losses.mean_squared_error):
        value = loss(teacher, student)
        assert value.dtype == jnp.float32
        np.testing.assert_array_equal(value, loss(teacher.astype(jnp.float32), student.astype(jnp.float32)))


def test_leading_axes_are_batch_axes():
    teacher, student = random_logits(0, batch=6), random_logits(1, batch=6)
    flat = losses.kl_divergences(teacher, student)
    np.testing.assert_array_equal(
        losses.kl_divergences(teacher.reshape(2, 3, -1), student.reshape(2, 3, -1)), flat.reshape(2, 3)
    )


def test_cross_entropy_with_labels_is_that_with_one_hot_teacher():
    logits, labels = random_logits(2), jnp.array([0, 3, 6, 1])
    certain = jnp.where(jax.nn.one_hot(labels, 7) == 1, 0.0, -1e4)
    np.testing.assert_allclose(
        losses.softmax_cross_entropy_with_labels(logits, labels), losses.cross_entropy(certain, logits), rtol=1e-6
    )


def test_accuracy_counts_and_the_first_wins_a_tie():
    logits = jnp.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [2.0, 2.0]])
    assert float(losses.accuracy(logits, jnp.array([1, 1, 0, 1]))) == 0.5


def test_centre_follows_the_batch_mean_and_centring_removes_it():
    logits = random_logits(5, batch=6) + 3.0
    centre = losses.update_centre(jnp.zeros(7), logits.reshape(2, 3, 7), 0.9)
    np.testing.assert_allclose(centre, 0.1 * np.mean(logits, axis=0), rtol=1e-5)
    whole = losses.update_centre(jnp.zeros(7), logits, 0.0)
    np.testing.assert_allclose(jnp.mean(losses.centre_logits(logits, whole), axis=0), np.zeros(7), atol=1e-6)
