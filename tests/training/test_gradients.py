"""An objective may make the gradients of a step from its loss as it likes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_experiments import distillation, inputs_of, state_of, train_data

from repcon_jax.training.loop import make_batch
from repcon_jax.training.optimisers import OptimiserConfig
from repcon_jax.training.step import accumulated, build_step, split_batch
from repcon_jax.trees import norm

KEY = jax.random.key(0)
RADIUS = 0.5
SGD = OptimiserConfig("sgd", learning_rate=0.1, momentum=0.0)


def at_the_worst_point(loss, params, inputs):
    """Value at the parameters and gradient where, within a radius, the linearised loss is greatest."""
    value, gradient = jax.value_and_grad(loss, has_aux=True)(params, inputs)
    worst = jax.tree.map(lambda p, g: p + RADIUS * g / norm(gradient), params, gradient)
    return value, jax.grad(loss, has_aux=True)(worst, inputs)[0]


def loss_of(objective, state, batch, key):
    return lambda params: objective.loss(inputs_of(objective, state, batch, key).replace(params=params))[0]


def defined(objective, state, batch, key):
    """The gradient of a sharpness-aware step, written with plain gradients of the objective."""
    gradient_at = jax.jit(jax.grad(loss_of(objective, state, batch, key)))
    gradient = gradient_at(state.params)
    length = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    return gradient_at(optax.apply_updates(state.params, jax.tree.map(lambda g: RADIUS * g / length, gradient)))


def setting():
    objective, time = distillation()
    state, optimiser = state_of(objective, time, SGD)
    return objective, dataclasses.replace(objective, gradients=at_the_worst_point), state, optimiser


def gradient_by_step(objective, optimiser, state, batch, accumulation=1):
    """What a step of plain descent with rate 0.1 went along."""
    end, metrics = jax.jit(build_step(objective, optimiser, accumulation))(state, batch, KEY)
    return jax.tree.map(lambda new, old: (old - new) / 0.1, end.params, state.params), metrics


def assert_close(tree, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), tree, expected)


def test_a_sharpness_aware_step_is_its_definition_and_no_plain_one():
    plain, sharp, state, optimiser = setting()
    batch = make_batch(train_data(), jnp.arange(8), KEY)
    gradient, metrics = gradient_by_step(sharp, optimiser, state, batch)
    assert_close(gradient, defined(plain, state, batch, KEY))
    usual, plain_metrics = gradient_by_step(plain, optimiser, state, batch)
    assert_close(usual, jax.jit(jax.grad(loss_of(plain, state, batch, KEY)))(state.params))
    apart = float(norm(jax.tree.map(jnp.subtract, gradient, usual)) / norm(usual))
    assert apart > 0.01
    assert float(metrics["loss"]) == pytest.approx(float(plain_metrics["loss"]), rel=1e-6)
    assert float(metrics["gradient_norm"]) == pytest.approx(float(norm(gradient)), rel=1e-3)


@pytest.mark.slow
def test_accumulation_is_the_mean_of_what_the_hook_makes_of_each_part():
    plain, sharp, state, optimiser = setting()
    batch = make_batch(train_data(), jnp.arange(8), KEY)
    gradient, _ = gradient_by_step(sharp, optimiser, state, batch, accumulation=2)
    parts = [defined(plain, state, split_batch(batch, 2, i), jax.random.fold_in(KEY, i)) for i in range(2)]
    assert_close(gradient, jax.tree.map(lambda a, b: (a + b) / 2, *parts))
    whole = defined(plain, state, batch, KEY)
    apart = float(norm(jax.tree.map(jnp.subtract, gradient, whole)) / norm(whole))
    assert apart > 1e-3  # each part has a worst point of its own


def test_a_hook_may_be_accumulated_by_hand():
    plain, _, state, optimiser = setting()
    batch = make_batch(train_data(), jnp.arange(8), KEY)
    by_hand = dataclasses.replace(plain, gradients=accumulated(plain.gradients, 4))
    assert_close(
        gradient_by_step(by_hand, optimiser, state, batch)[0], gradient_by_step(plain, optimiser, state, batch, 4)[0]
    )
