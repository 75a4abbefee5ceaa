"""The updates against PyTorch's published algorithms, written out in NumPy in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from repcon_jax.errors import ArgumentError
from repcon_jax.training.durations import Clock
from repcon_jax.training.optimisers import OptimiserConfig, assign_rules, build_optimiser

CLOCK = Clock(num_examples=100, batch_size=10, steps_per_epoch=10, total_steps=20)
GRADIENTS = np.random.default_rng(0).normal(size=(20, 3))
START = np.array([1.0, -2.0, 0.5])


def run(config, gradients=GRADIENTS):
    params = {"layer": {"kernel": jnp.array(START, jnp.float32)}}
    optimiser = build_optimiser(config, CLOCK, params)
    state = optimiser.init(params)
    for gradient in gradients:
        tree = {"layer": {"kernel": jnp.array(gradient, jnp.float32)}}
        updates, state = optimiser.update(tree, state, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params["layer"]["kernel"])


def sgd_reference(lr, momentum, decay, nesterov=False):
    p, buffer = START.copy(), np.zeros(3)
    for g in GRADIENTS:
        g = g + decay * p
        buffer = momentum * buffer + g
        p = p - lr * (g + momentum * buffer if nesterov else buffer)
    return p


def adam_reference(lr, decay, decoupled, beta1=0.9, beta2=0.999, epsilon=1e-8):
    p, m, v = START.copy(), np.zeros(3), np.zeros(3)
    for t, g in enumerate(GRADIENTS, 1):
        if decoupled:
            p = p - lr * decay * p
        else:
            g = g + decay * p
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        p = p - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return p


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_pytorchs(nesterov):
    config = OptimiserConfig("sgd", learning_rate=0.1, weight_decay=0.01, momentum=0.9, nesterov=nesterov)
    np.testing.assert_allclose(run(config), sgd_reference(0.1, 0.9, 0.01, nesterov), rtol=2e-5)


def test_plain_sgd_keeps_no_momentum():
    np.testing.assert_allclose(
        run(OptimiserConfig("sgd", learning_rate=0.1, momentum=0.0)), sgd_reference(0.1, 0.0, 0.0), rtol=2e-5
    )


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_and_adamw_are_pytorchs(name):
    config = OptimiserConfig(name, learning_rate=0.01, weight_decay=0.1)
    np.testing.assert_allclose(run(config), adam_reference(0.01, 0.1, name == "adamw"), rtol=2e-5)


def test_tiny_gradients_meet_epsilon_as_in_pytorch():
    np.testing.assert_allclose(
        START - run(OptimiserConfig("adamw", learning_rate=1e-3), GRADIENTS[:1] * 1e-8),
        1e-3 * GRADIENTS[0] * 1e-8 / (np.abs(GRADIENTS[0]) * 1e-8 + 1e-8),
        rtol=1e-3,
    )


def test_clipping_scales_the_global_norm_down_and_never_up():
    config = OptimiserConfig("sgd", learning_rate=1.0, momentum=0.0, clip_norm=0.5)
    big, small = np.array([[3.0, 4.0, 0.0]]), np.array([[0.03, 0.04, 0.0]])
    np.testing.assert_allclose(START - run(config, big), big[0] / 10, rtol=1e-5)
    np.testing.assert_allclose(START - run(config, small), small[0], rtol=1e-5)


def test_rules_scale_the_rate_replace_the_decay_and_freeze():
    params = {"a": jnp.ones(1), "b": jnp.ones(1), "c": jnp.ones(1)}
    rules = (("a", "set(learning_rate=0.1)"), ("b", "set(weight_decay=0.5)"), ("c", "set(frozen='1 epochs')"))
    config = OptimiserConfig("sgd", learning_rate=1.0, momentum=0.0, weight_decay=0.0, rules=rules)
    optimiser = build_optimiser(config, CLOCK, params)
    state = optimiser.init(params)
    updates, state = optimiser.update(jax.tree.map(jnp.ones_like, params), state, params)
    assert [float(updates[k][0]) for k in "abc"] == pytest.approx([-0.1, -1.5, 0.0])
    for _ in range(10):
        updates, state = optimiser.update(jax.tree.map(jnp.ones_like, params), state, params)
    assert float(updates["c"][0]) == pytest.approx(-1.0)


def test_every_parameter_must_be_covered_and_every_pattern_used():
    params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}
    assert assign_rules([r"bias$", "."], params) == {"dense": {"kernel": "1", "bias": "0"}}
    with pytest.raises(ArgumentError, match="cover no parameter 'dense/kernel'"):
        assign_rules(["bias"], params)
    with pytest.raises(ArgumentError, match=r"'scale', which decides for no parameter"):
        assign_rules([".", "scale"], params)
    with pytest.raises(ArgumentError, match="no regular expression"):
        assign_rules(["("], params)
    with pytest.raises(ArgumentError, match="did you mean 'weight_decay'"):
        build_optimiser(OptimiserConfig(rules=((".", "set(weight_deca=1.0)"),)), CLOCK, params)


@pytest.mark.parametrize("field", ["learning_rate", "momentum", "epsilon", "clip_norm"])
def test_a_value_out_of_range_names_its_field(field):
    with pytest.raises(ArgumentError, match=f"^{field} is -1"):
        OptimiserConfig(**{field: -1.0})
