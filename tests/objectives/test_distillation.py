import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiments import context, distillation, save, start_of, state_of, train_data

from repcon_jax import losses
from repcon_jax.errors import CheckpointError, ConfigError
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.training.loop import make_batch
from repcon_jax.training.step import build_step

KEY = jax.random.key(0)


def equal(first, second):
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), first, second)))


def two_views(key, images):
    noise = 0.2 * jax.random.normal(key, (2, *images.shape))
    return images + noise, images[None][:0]


def batch(views=None):
    data = train_data(views=views) if views else train_data()
    return make_batch(data, jnp.arange(8), KEY)


def step_once(objective, time, views=None, steps=1):
    state, optimiser = state_of(objective, time)
    step = jax.jit(build_step(objective, optimiser))
    begin, metrics = state, None
    for _ in range(steps):
        state, metrics = step(state, batch(views), KEY)
    return begin, state, metrics


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cross_entropy", "kl_divergence", "mean_squared_error"])
def test_a_copied_student_has_no_divergence_and_an_independent_one_approaches(loss):
    objective, time = distillation(loss=loss, start="copy")
    assert float(step_once(objective, time)[2]["kl"]) == 0.0
    objective, time = distillation(loss=loss, teacher_temperature=0.1, student_temperature=0.1)
    _, _, first = step_once(objective, time)
    _, _, last = step_once(objective, time, steps=15)
    assert 0 < float(last["kl"]) < 0.5 * float(first["kl"])


def test_cross_entropy_is_kl_plus_the_teachers_entropy():
    objective, time = distillation(teacher_temperature=0.5)
    begin, _, metrics = step_once(objective, time)
    logits = begin.carried["teacher"].apply(batch().views[0])[0].logits
    expected = float(metrics["kl"]) + float(losses.entropy(logits, 0.5))
    assert float(metrics["loss"]) == pytest.approx(expected, rel=1e-5)


def test_a_frozen_teacher_does_not_move_and_batch_norm_stays_in_evaluation_mode():
    begin, end, _ = step_once(*distillation(normalisation="batch"), steps=3)
    assert equal(begin.carried, end.carried)
    assert not equal(begin.model_state, end.model_state)


def test_an_ema_teacher_follows_by_its_momentum():
    begin, end, _ = step_once(*distillation(teacher_update="ema", teacher_momentum=0.75))
    expected = jax.tree.map(lambda t, s: 0.75 * t + 0.25 * s, begin.carried["teacher"].params, end.params)
    for a, b in zip(jax.tree.leaves(end.carried["teacher"].params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"teacher_update": "previous_epoch"}, {"teacher_update": "restarted", "restart_every": "6 steps"}]
)
def test_a_replaced_teacher_is_the_student_of_that_step(options):
    begin, before, _ = step_once(*distillation(**options), steps=5)
    assert equal(begin.carried["teacher"].params, before.carried["teacher"].params)
    _, after, _ = step_once(*distillation(**options), steps=6)
    assert equal(after.carried["teacher"].params, after.params)


def test_the_teachers_batch_norm_comes_from_where_the_option_says():
    begin, from_data, _ = step_once(*distillation(normalisation="batch", teacher_batch_norm="from_data"))
    assert not equal(begin.carried["teacher"].model_state, from_data.carried["teacher"].model_state)
    assert equal(begin.carried["teacher"].params, from_data.carried["teacher"].params)
    _, from_student, _ = step_once(*distillation(normalisation="batch", teacher_batch_norm="from_student"))
    assert equal(from_student.carried["teacher"].model_state, from_student.model_state)


def test_the_centre_is_the_moving_average_of_the_teachers_logits():
    begin, end, _ = step_once(*distillation(centre_momentum=0.9))
    logits = begin.carried["teacher"].apply(batch().views[0])[0].logits
    np.testing.assert_allclose(end.carried["centre"], 0.1 * jnp.mean(logits, axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_opposite_and_same_pairs_add_up_to_all():
    loss = {}
    for pairing in ("same", "opposite", "all"):
        objective, time = distillation(num_views=(2, 0), pairing=pairing)
        loss[pairing] = float(step_once(objective, time, two_views)[2]["loss"])
    assert loss["all"] == pytest.approx((loss["same"] + loss["opposite"]) / 2, rel=1e-6)
    assert loss["same"] != loss["opposite"]


@pytest.mark.parametrize(("start", "extra"), [("interpolated", {"locality": 1.0}), ("independent", {})])
def test_locality_one_is_an_independent_student(start, extra):
    params = start_of(distillation(start=start, **extra)[0])[0]
    assert equal(params, start_of(distillation(start="independent")[0])[0])


def test_teacher_and_student_are_functions_of_the_seed_alone():
    student, _, carried = start_of(distillation()[0])
    again, _, carried_again = start_of(distillation(start="copy")[0])
    assert equal(carried, carried_again)
    assert equal(again, carried["teacher"].params)
    assert not equal(student, again)


def test_a_second_round_starts_from_a_checkpoint(tmp_path):
    objective, time = distillation()
    _, end, _ = step_once(objective, time, steps=2)
    where = context()
    path = save(tmp_path, end, where)
    second, _ = distillation(start="checkpoint", checkpoint=path, teacher_start="checkpoint", teacher_checkpoint=path)
    student, _, carried = start_of(second)
    assert equal(student, end.params)
    assert equal(carried["teacher"].params, end.params)
    supervised = OBJECTIVES.build("supervised", where, start="checkpoint", checkpoint=path, checkpoint_part="teacher")
    params, _, _ = start_of(supervised)
    assert equal(params["encoder"], end.carried["teacher"].params["encoder"])
    assert not equal(params["head"], end.carried["teacher"].params["head"])
    with pytest.raises(CheckpointError, match="where this config needs"):
        start_of(distillation(start="checkpoint", checkpoint=path, normalisation="batch")[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"locality": 2.0}, r"objective\.locality is 2\.0 but must lie in \[0, 1\]"),
        ({"start": "checkpoint"}, r"objective\.checkpoint is None but start is 'checkpoint'"),
        ({"teacher_temperature": 0.0}, r"objective\.teacher_temperature is 0\.0 but must lie in \(0, inf\]"),
        ({"pairing": "opposite"}, "a single view"),
        ({"loss": "kl"}, "must be one of 'cross_entropy', 'kl_divergence', 'mean_squared_error'"),
        ({"localty": 0.1}, "did you mean 'locality'"),
        ({"restart_every": "0 steps"}, "no step at all"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(options, message):
    with pytest.raises(ConfigError, match=message):
        distillation(**options)
