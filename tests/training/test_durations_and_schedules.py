import re

import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ArgumentError
from repcon_jax.training.durations import Clock, clock, parse_duration
from repcon_jax.training.schedules import parse_schedule

CLOCK = Clock(num_examples=1000, batch_size=100, steps_per_epoch=10, total_steps=200)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("7 steps", 7),
        ("1 step", 1),
        ("500 examples", 5),
        ("1.5 epochs", 15),
        ("10 percent", 20),
        ("10%", 20),
        ("1e2 steps", 100),
    ],
)
def test_every_unit_is_converted_to_steps(text, steps):
    assert CLOCK.steps(text) == steps


@pytest.mark.parametrize("text", ["", "ten epochs", "10", "10 minutes", "-1 epochs"])
def test_what_is_no_duration_is_refused_with_the_argument_named(text):
    with pytest.raises(ArgumentError, match=r"^every is .* such as '10 epochs'"):
        parse_duration(text, "every")


def test_the_length_of_a_run_cannot_be_a_percentage_of_itself():
    with pytest.raises(ArgumentError, match="percent needs a run length"):
        clock(1000, 100, "50 percent")


def test_the_incomplete_batch_counts_only_where_it_is_kept():
    assert clock(50_000, 256, "1 epochs").total_steps == 195
    assert clock(50_000, 256, "1 epochs", drop_last=False).total_steps == 196


def test_a_batch_larger_than_the_training_set_is_refused():
    with pytest.raises(ArgumentError, match=r"batch_size is 256 .* 100"):
        clock(100, 256, "1 epochs")


def values(text, steps=range(201)):
    schedule = parse_schedule(text, CLOCK)
    return np.array([float(schedule(jnp.int32(step))) for step in steps])


def test_cosine_has_its_closed_form_with_and_without_warm_up():
    t = np.arange(201) / 200
    np.testing.assert_allclose(values("cosine(start=1.0, end=0.2)"), 0.2 + 0.8 * (1 + np.cos(np.pi * t)) / 2, atol=1e-6)
    warm = values("cosine(start=1.0, end=0.0, warmup='5 epochs')")
    np.testing.assert_allclose(warm[:51], np.arange(51) / 50, atol=1e-6)
    np.testing.assert_allclose(warm[50:], (1 + np.cos(np.pi * np.arange(151) / 150)) / 2, atol=1e-6)


def test_a_rising_cosine_ends_at_its_end():
    momentum = values("cosine(start=0.996, end=1.0)")
    assert momentum[0] == pytest.approx(0.996)
    assert momentum[-1] == pytest.approx(1.0)
    assert np.all(np.diff(momentum) >= -1e-7)


def test_multi_step_falls_at_its_milestones_counted_from_the_start_of_the_run():
    for warmup in ("0 steps", "20 steps"):
        rate = values(f"multi_step(start=0.1, milestones=('50 percent', '15 epochs'), factor=0.1, warmup='{warmup}')")
        np.testing.assert_allclose(rate[[99, 100, 149, 150, 200]], [0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-5)


def test_milestones_that_round_to_one_step_both_count():
    short = Clock(num_examples=8, batch_size=4, steps_per_epoch=2, total_steps=4)
    rate = parse_schedule("multi_step(start=1.0, milestones=('50 percent', '60 percent'), factor=0.1)", short)
    assert float(rate(3)) == pytest.approx(0.01)


def test_a_number_is_constant_and_linear_is_a_line():
    assert values(0.3, [0, 200]).tolist() == pytest.approx([0.3, 0.3])
    np.testing.assert_allclose(values("linear(start=2.0, end=1.0)"), 2 - np.arange(201) / 200, rtol=1e-6)
    assert values("constant(value=0.5, warmup='10 steps')", [0, 5, 10]).tolist() == pytest.approx([0, 0.25, 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin(start=1.0)", "did you mean 'cosine'"),
        ("cosine(begin=1.0)", "not an option of 'cosine'"),
        ("cosine(1.0)", "a call with keywords"),
        ("cosine(start='x')", "must be float"),
        ("cosine(start=1.0, warmup='30 epochs')", "the run has only 200"),
        ("__import__('os')", "a call with keywords"),
    ],
)
def test_a_wrong_schedule_is_refused_in_one_sentence(text, message):
    with pytest.raises(ArgumentError, match=f"^learning_rate (is|has) .*{re.escape(message)}"):
        parse_schedule(text, CLOCK, "learning_rate")
