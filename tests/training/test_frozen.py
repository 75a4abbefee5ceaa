"""Parameters that a rule freezes always have no gradient, no moments, and no part in the backward pass."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from small_experiments import IMAGES, chunk_of, context_of, distillation, same_bits, state_of, train_data

from repcon_jax.errors import ArgumentError
from repcon_jax.models import Model, attach_head, create_head
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.training.durations import clock
from repcon_jax.training.loop import make_batch
from repcon_jax.training.optimisers import OptimiserConfig, frozen_paths
from repcon_jax.training.partition import merge, paths_below, split
from repcon_jax.training.step import build_step
from repcon_jax.trees import named_leaves

KEY = jax.random.key(0)
ENCODER = (("^encoder/", "set(frozen='always')"), (".*", "default"))
# Everything that could move a parameter without a gradient.
OPTIMISER = OptimiserConfig(learning_rate=0.05, weight_decay=0.1, clip_norm=1.0, rules=ENCODER)


def arrays(tree):
    return [leaf for leaf in jax.tree.leaves(tree) if leaf.ndim]


def trained(state, objective, optimiser, time, steps, frozen):
    chunk = chunk_of(objective, optimiser, train_data(), time, frozen=frozen)
    return chunk(jax.tree.map(jnp.copy, state), jnp.int32(steps), KEY)


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_what_is_frozen_keeps_its_bits_and_the_rest_trains(normalisation):
    objective, time = distillation(normalisation=normalisation)
    state, optimiser = state_of(objective, time, OPTIMISER)
    frozen = frozen_paths(OPTIMISER, state.params)
    assert frozen == paths_below(state.params, "encoder")
    end, metrics = trained(state, objective, optimiser, time, 6, frozen)
    assert jax.tree.structure(end) == jax.tree.structure(state)
    assert same_bits(end.params["encoder"], state.params["encoder"])
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), end.params["head"], state.params["head"])
    assert all(jax.tree.leaves(moved))
    assert metrics["loss"][5] < metrics["loss"][0]


@pytest.mark.parametrize(("name", "moments"), [("adamw", 2), ("sgd", 1)])
def test_the_optimiser_holds_nothing_of_what_is_frozen(name, moments):
    config = OptimiserConfig(name, rules=ENCODER)
    state, _ = state_of(*distillation(), config)
    assert len(arrays(state.opt_state)) == moments * len(arrays(state.params["head"]))
    assert not [path for path in named_leaves(state.opt_state) if "encoder" in path]
    assert jax.tree.structure(state.mask) == jax.tree.structure(state.params)


@pytest.mark.slow
def test_the_gradient_norm_is_that_of_what_trains():
    objective, time = distillation()
    frozen = frozen_paths(OPTIMISER, state_of(objective, time)[0].params)
    state, optimiser = state_of(objective, time, OPTIMISER)
    batch = make_batch(train_data(), jnp.arange(8), KEY)
    seen = []

    def gradients(loss, params, inputs):
        (value, (model_state, carried, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(params, inputs)
        seen.append((list(params), list(gradient)))
        squares = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient))
        return (value, (model_state, carried, metrics | {"squares": squares})), gradient

    step = build_step(dataclasses.replace(objective, gradients=gradients), optimiser, frozen=frozen)
    _, metrics = jax.jit(step)(state, batch, KEY)
    assert seen == [(["head"], ["head"])]
    assert float(metrics["gradient_norm"]) == pytest.approx(float(metrics["squares"]) ** 0.5, rel=1e-5)


@jax.custom_vjp
def _not_differentiated(images, kernel):
    return images @ kernel


def _forward(images, kernel):
    return images @ kernel, None


def _backward(residuals, gradient):
    raise AssertionError("the backbone was differentiated")


_not_differentiated.defvjp(_forward, _backward)


def test_a_frozen_backbone_is_outside_the_differentiated_function():
    def apply(params, model_state, inputs, train=False, intermediates=False):
        return _not_differentiated(inputs.reshape(inputs.shape[0], -1), params["kernel"]), model_state

    backbone = Model(lambda key, inputs: ({"kernel": jax.random.normal(key, (inputs[0].size, 6))}, {}), apply)
    time = clock(48, 8, "3 epochs")
    model = attach_head(backbone, create_head("linear", num_classes=3))
    objective = OBJECTIVES.build("supervised", context_of(model, time))
    state, optimiser = state_of(objective, time, OPTIMISER)
    batch = make_batch(train_data(), jnp.arange(8), KEY)
    jax.jit(build_step(objective, optimiser, frozen=frozen_paths(OPTIMISER, state.params)))(state, batch, KEY)
    state, optimiser = state_of(objective, time)
    with pytest.raises(AssertionError, match="the backbone was differentiated"):
        build_step(objective, optimiser)(state, batch, KEY)


def test_a_mask_prunes_what_trains_and_leaves_what_is_frozen():
    objective, time = distillation()
    state, optimiser = state_of(objective, time, OPTIMISER)
    mask = jax.tree.map(lambda leaf: jax.random.bernoulli(KEY, 0.5, leaf.shape), state.params)
    pruned = state.replace(mask=mask)
    end, _ = trained(pruned, objective, optimiser, time, 3, frozen_paths(OPTIMISER, state.params))
    assert all(jax.tree.leaves(jax.tree.map(lambda p, m: bool((p[~m] == 0).all()), end.params["head"], mask["head"])))
    assert same_bits(end.params["encoder"], state.params["encoder"])


def test_splitting_and_merging_lose_nothing():
    tree = {"a": {"x": 1, "y": {}}, "b": {"c": {"d": 2, "e": 3}}, "f": 4}
    for paths in ({"a/x"}, {"b/c/d", "f"}, {"a/x", "b/c/d", "b/c/e"}, set()):
        trained, standing = split(tree, frozenset(paths))
        assert set(named_leaves(standing)) == paths
        assert set(named_leaves(trained)) == set(named_leaves(tree)) - paths
        assert merge(trained, standing) == tree


def test_freezing_everything_is_refused():
    params = jax.eval_shape(lambda: distillation()[0].start(KEY, IMAGES, {}))[0]
    with pytest.raises(ArgumentError, match=r"^rules freeze every parameter, which leaves nothing to train"):
        frozen_paths(OptimiserConfig(rules=((".*", "set(frozen='always')"),)), params)
