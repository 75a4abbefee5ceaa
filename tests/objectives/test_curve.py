import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiments import (
    IMAGES,
    PIXELS,
    chunk_of,
    context_of,
    inputs_of,
    save,
    start_of,
    state_of,
    train_data,
    unseen,
)

from repcon_jax import losses
from repcon_jax.errors import CheckpointError, ConfigError
from repcon_jax.landscape.paths import bezier_path, linear_path, piecewise_path
from repcon_jax.models import Network, attach_head, create_encoder, create_head
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.random import stream
from repcon_jax.training.durations import clock
from repcon_jax.training.loop import make_batch
from repcon_jax.training.optimisers import OptimiserConfig
from repcon_jax.training.step import Inputs, build_step

KEY = jax.random.key(0)
TIME = clock(48, 8, "4 epochs")


def model_of(normalisation="none"):
    encoder = create_encoder("mlp", widths=(8,), normalisation=normalisation)
    return attach_head(encoder, create_head("linear", num_classes=3))


def ends_of(model):
    drawn = {name: model.init(jax.random.key(seed), IMAGES) for seed, name in enumerate(("start", "end"), 1)}
    return {name: Network(*variables, model, PIXELS) for name, variables in drawn.items()}


def curve(normalisation="none", **options):
    model = model_of(normalisation)
    ends = ends_of(model)
    context = context_of(model, TIME, load=lambda path, part: ends[path])
    where = {"start_checkpoint": "start", "end_checkpoint": "end"}
    return OBJECTIVES.build("curve", context, **where | options), model


def started(objective):
    """What the functions of the objective read before the first step."""
    params, model_state, carried = start_of(objective, KEY)
    return Inputs(params, model_state, carried, jnp.int32(0), {}, batch(), KEY)


def batch():
    return make_batch(train_data(), jnp.arange(8), KEY)


def assert_close(tree, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), tree, expected)


@pytest.mark.slow
def test_it_lowers_the_loss_along_the_curve_and_leaves_the_ends():
    objective, model = curve(num_bends=2)
    data = train_data()
    state, optimiser = state_of(objective, TIME, OptimiserConfig("adam", learning_rate=1e-2))
    ends = jax.tree.map(jnp.copy, state.carried)
    chunk = chunk_of(objective, optimiser, data, TIME)
    rows = []
    for _ in range(20):
        state, metrics = chunk(state, jnp.int32(6), KEY)
        rows.append(metrics)
    assert float(np.mean(rows[-1]["loss"])) < 0.7 * float(np.mean(rows[0]["loss"]))
    jax.tree.map(np.testing.assert_array_equal, state.carried, ends)
    bends = [jax.tree.map(lambda leaf, i=i: leaf[i], state.params) for i in range(2)]
    middle = bezier_path([ends["start"].params, *bends, ends["end"].params])(0.5)
    evaluated = objective.evaluate(inputs_of(objective, state, unseen(batch().views[0], batch().labels)))
    np.testing.assert_allclose(np.mean(evaluated["loss"]), loss_at(model, middle), rtol=1e-5)
    line = linear_path(ends["start"].params, ends["end"].params)
    assert np.mean(evaluated["loss"]) < 0.7 * float(loss_at(model, line(0.5)))


def loss_at(model, params):
    network = Network(params, {"encoder": {}, "head": {}}, model, PIXELS)
    logits = network.apply(batch().views[0], True)[0].logits
    return losses.softmax_cross_entropy_with_labels(logits, batch().labels)


@pytest.mark.slow
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_the_gradient_of_a_bend_is_its_weight_times_that_of_the_loss(t, monkeypatch):
    objective, model = curve()
    inputs = started(objective)
    draw = jax.random.uniform  # with a shape it is an initialiser's
    monkeypatch.setattr(jax.random, "uniform", lambda key, *shape: draw(key, *shape) if shape else jnp.float32(t))
    gradient = jax.grad(lambda bends: objective.loss(inputs.replace(params=bends))[0])
    start, end = inputs.carried["start"], inputs.carried["end"]
    at_point = bezier_path([start.params, jax.tree.map(lambda leaf: leaf[0], inputs.params), end.params])(t)
    direct = jax.grad(lambda point: loss_at(model, point))(at_point)
    weight = 2 * t * (1 - t)
    assert_close(gradient(inputs.params), jax.tree.map(lambda leaf: weight * leaf[None], direct))


@pytest.mark.parametrize(("kind", "path"), [("bezier", bezier_path), ("polygonal", piecewise_path)])
def test_the_loss_is_that_of_the_drawn_point(kind, path):
    objective, model = curve(kind=kind, num_bends=1)
    inputs = started(objective)
    inputs = inputs.replace(params=jax.tree.map(lambda leaf: leaf + 0.3, inputs.params))
    t = jax.random.uniform(stream(KEY, "curve"))
    bend = jax.tree.map(lambda leaf: leaf[0], inputs.params)
    point = path([inputs.carried["start"].params, bend, inputs.carried["end"].params])(t)
    value, _ = objective.loss(inputs)
    assert float(value) == pytest.approx(float(loss_at(model, point)), rel=1e-5)
    other, _ = objective.loss(inputs.replace(key=jax.random.key(1)))
    assert float(other) != pytest.approx(float(value), rel=1e-4)


def test_running_statistics_and_the_probed_encoder_are_those_of_the_middle():
    objective, model = curve("batch")
    state, optimiser = state_of(objective, TIME)
    after, _ = jax.jit(build_step(objective, optimiser))(state, batch(), KEY)
    middle = linear_path(state.carried["start"].params, state.carried["end"].params)(0.5)
    _, expected = Network(middle, state.model_state, model, PIXELS).apply(batch().views[0], True)
    assert_close(after.model_state, expected)
    (name, network), *others = objective.networks(inputs_of(objective, state)).items()
    assert (name, others) == ("encoder", [])
    assert_close(network.params, middle)
    assert network.model_state is state.model_state


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_its_ends_come_from_checkpoints_and_may_be_one(normalisation, tmp_path):
    context = context_of(model_of(normalisation), TIME)
    state, _ = state_of(OBJECTIVES.build("supervised", context), TIME)
    path = save(tmp_path, state, context)
    objective = OBJECTIVES.build("curve", context, start_checkpoint=path, end_checkpoint=path)
    begin, optimiser = state_of(objective, TIME)
    jax.tree.map(np.testing.assert_array_equal, begin.carried["start"].params, state.params)
    jax.tree.map(np.testing.assert_array_equal, begin.carried["end"].model_state, state.model_state)
    chunk = chunk_of(objective, optimiser, train_data(), TIME)  # donates the state's buffers
    after, metrics = chunk(begin, jnp.int32(2), KEY)
    assert int(after.step) == 2
    assert np.isfinite(metrics["loss"]).all()

    wider = attach_head(create_encoder("mlp", widths=(9,)), create_head("linear", num_classes=3))
    objective = OBJECTIVES.build(
        "curve", dataclasses.replace(context, model=wider), start_checkpoint=path, end_checkpoint=path
    )
    with pytest.raises(CheckpointError, match="where this config needs"):
        start_of(objective, KEY)


def test_what_is_missing_is_named():
    with pytest.raises(ConfigError, match=r"objective.end_checkpoint is None but a curve joins two trained networks;"):
        curve(end_checkpoint=None)
    with pytest.raises(ConfigError, match=r"objective.num_bends is 0 but must lie in"):
        curve(num_bends=0)


def test_both_ends_are_constant_and_labels_are_used():
    objective, _ = curve()
    _, _, carried = start_of(objective, KEY)
    assert objective.constant == tuple(carried)
    assert objective.uses_labels
    assert objective.changing == ("encoder",)
