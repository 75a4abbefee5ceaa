"""Criteria against hand computations, finite differences, conservation laws and explicit loops."""

import dataclasses
import functools
import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.lottery.criteria.synflow import synaptic_flow, synflow_iterations
from repcon_jax.lottery.criterion import CRITERIA, Evidence, build_criterion, score
from repcon_jax.models import attach_head, create_head
from repcon_jax.models.encoders.vgg import vgg
from repcon_jax.trees import map_named, named_leaves

ALL_KEPT = {"a": jnp.ones(2, bool), "b": jnp.ones((), bool)}
PARAMS = {"a": jnp.array([0.5, -2.0]), "b": jnp.array(-1.5)}
START = {"a": jnp.array([-1.0, 0.5]), "b": jnp.array(2.0)}
INPUTS = jax.random.normal(jax.random.key(0), (3, 4))


def loss(params, batch):
    """The mean over a batch of something whose Hessian is not constant and couples the leaves."""
    return jnp.mean(jnp.sin(params["a"][0] * batch) * params["b"] + params["a"][1] ** 2 * params["b"] * batch**2)


def evidence(**changes):
    return Evidence(**{"params": PARAMS, "mask": ALL_KEPT, "loss": loss, "batches": INPUTS, **changes})


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def flat_score(name, found):
    return flat(score(build_criterion(name), found))


def total_loss(values):
    """The loss over all batches in double precision, of the three parameters in order."""
    first, second, third = values
    x = np.asarray(INPUTS, np.float64)
    return np.mean(np.sin(first * x) * third + second**2 * third * x**2)


def difference(function, values, number, step=1e-4):
    offset = step * np.eye(3)[number]
    return (function(values + offset) - function(values - offset)) / (2 * step)


def gradient(values):
    return np.array([difference(total_loss, values, number) for number in range(3)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("magnitude", [0.5, 2.0, 1.5]),
        ("large_final", [0.5, 2.0, 1.5]),
        ("magnitude_increase", [-0.5, 1.5, -0.5]),
        ("movement(source='start')", [(0.25 - 1) / 2, (4 - 0.25) / 2, (2.25 - 4) / 2]),
    ],
)
def test_size_and_growth_by_hand(name, expected):
    np.testing.assert_allclose(flat_score(name, evidence(start=START)), expected)


def test_snip_and_the_gradient_form_of_movement_agree_with_finite_differences():
    values = flat(PARAMS).astype(float)
    np.testing.assert_allclose(flat_score("snip", evidence()), np.abs(values * gradient(values)), rtol=1e-4)
    found = flat_score("movement(source='gradient')", evidence())
    np.testing.assert_allclose(found, -values * gradient(values), rtol=1e-4)


def test_grasp_keeps_what_the_gradient_norm_would_lose():
    values = flat(PARAMS).astype(float)

    def squared_norm(point):
        return gradient(point) @ gradient(point)

    # The first-order change of |g|^2 when a weight is zeroed is minus twice its score.
    changes = [-values[i] * difference(squared_norm, values, i, 1e-3) for i in range(3)]
    np.testing.assert_allclose(-2 * flat_score("grasp", evidence()), changes, rtol=1e-3)


@pytest.mark.parametrize("name", ["snip", "grasp", "fisher"])
def test_what_a_pruned_entry_holds_has_no_effect_and_it_comes_last(name):
    mask = {"a": jnp.array([True, False]), "b": jnp.ones((), bool)}
    first, second = ({"a": jnp.array([0.5, x]), "b": jnp.array(-1.5)} for x in (0.0, 7.0))
    found, expected = (score(build_criterion(name), evidence(params=params, mask=mask)) for params in (second, first))
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert found["a"][1] == -jnp.inf
    assert np.isfinite(flat(found)).sum() == 2


def test_fisher_is_the_mean_over_examples_of_squared_gradients():
    squares = [jax.tree.map(jnp.square, jax.grad(loss)(PARAMS, x[None])) for x in INPUTS.ravel()]
    mean = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *squares)
    for at_once in (1, 5, 12):
        found = flat_score(f"fisher(examples_at_once={at_once})", evidence())
        np.testing.assert_allclose(found, flat(PARAMS) ** 2 * flat(mean), rtol=1e-5)


def test_movement_summed_over_small_steps_tends_to_its_closed_form():
    steps, rate = 2000, 1e-3

    def descend(carry, _):
        params, total = carry
        gradients = jax.grad(loss)(params, INPUTS[0])
        total = jax.tree.map(lambda sum_, w, g: sum_ - g * w, total, params, gradients)
        return (jax.tree.map(lambda w, g: w - rate * g, params, gradients), total), None

    zeros = jax.tree.map(jnp.zeros_like, START)
    (end, total), _ = jax.lax.scan(descend, (START, zeros), length=steps)
    found = flat_score("movement(source='start')", evidence(params=end, start=START))
    np.testing.assert_allclose(found, rate * flat(total), rtol=0.02, atol=1e-3)


@functools.cache
def network():
    """A network without biases, and the evidence of its flow."""
    encoder = vgg((1, 2), width=0.1, num_stages=2, normalisation="batch", convolution="xla")
    model = attach_head(encoder, create_head("linear", num_classes=3, bias=False))
    params, state = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 2)))
    draw = np.random.default_rng(0).normal

    def initial(name, leaf):
        values = draw(size=leaf.shape) if name.endswith("kernel") else np.full(leaf.shape, name.endswith("scale"))
        return jnp.asarray(values, jnp.float32)

    params = map_named(initial, params)
    mask = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
    return Evidence(params, mask, flow=synaptic_flow(model, map_named(initial, state), (8, 8, 2)))


def test_synaptic_flow_is_conserved_by_layers_and_by_units():
    scores = score(build_criterion("synflow"), network())
    kernels = {name: leaf for name, leaf in named_leaves(scores).items() if name.endswith("kernel")}
    total = float(network().flow(jax.tree.map(jnp.abs, network().params)))
    assert len(kernels) == 4
    for leaf in kernels.values():
        assert float(leaf.sum()) == pytest.approx(total, rel=1e-4)
    first, second = kernels["encoder/stage2/conv1/kernel"], kernels["encoder/stage2/conv2/kernel"]
    np.testing.assert_allclose(first.sum((0, 1, 2)), second.sum((0, 1, 3)), rtol=1e-4)


def keep_largest(scores, mask, density):
    values = np.sort(flat(scores))[::-1]
    threshold = values[max(1, round(density * values.size)) - 1]
    return jax.tree.map(lambda s, m: m & (s >= threshold), scores, mask)


def test_iterations_keep_some_of_every_layer_and_never_bring_a_weight_back():
    seen, densities = [network().mask], synflow_iterations(0.02, 10)
    for target in densities:
        scores = score(build_criterion("synflow"), dataclasses.replace(network(), mask=seen[-1]))
        seen.append(keep_largest(scores, seen[-1], target))
    last = seen[-1]
    assert densities[-1] == pytest.approx(0.02)
    assert np.allclose(np.diff(np.log(densities)), np.log(0.02) / 10)
    assert flat(last).mean() == pytest.approx(0.02, rel=0.1)
    for before, after in itertools.pairwise(seen):
        assert (flat(before) >= flat(after)).all()
    assert all(leaf.any() for name, leaf in named_leaves(last).items() if name.endswith("kernel"))


def test_a_flow_beyond_float32_is_named():
    params, mask = {"w": jnp.array([1e30])}, {"w": jnp.array([True])}
    with pytest.raises(ArgumentError, match=r"flow is a synaptic flow beyond the range of float32; choose a shallower"):
        score(build_criterion("synflow"), Evidence(params, mask, flow=lambda p: jnp.sum(p["w"] ** 2)))


def test_random_scores_depend_on_the_key_and_the_leaf_alone():
    def draw(seed, params=PARAMS):
        mask = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
        return score(build_criterion("random"), Evidence(params, mask, key=jax.random.key(seed)))

    wide = draw(0, {"a": jnp.zeros(1000), "b": jnp.zeros(1000)})
    assert not np.array_equal(wide["a"], wide["b"])
    assert not np.array_equal(flat(draw(0)), flat(draw(1)))
    np.testing.assert_array_equal(draw(0)["a"], draw(0, {"a": PARAMS["a"], "other": jnp.zeros(3)})["a"])
    assert 0 <= flat(wide).min() < 0.01
    assert 0.99 < flat(wide).max() < 1
    assert flat(wide).mean() == pytest.approx(0.5, abs=0.03)


def test_another_process_draws_the_same():
    program = (
        "import jax, jax.numpy as jnp;"
        "from repcon_jax.lottery.criterion import Evidence, build_criterion, score;"
        "e = Evidence({'a': jnp.zeros(2)}, {'a': jnp.ones(2, bool)}, key=jax.random.key(3));"
        "print(score(build_criterion('random'), e)['a'].tolist())"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    found = Evidence({"a": jnp.zeros(2)}, {"a": jnp.ones(2, bool)}, key=jax.random.key(3))
    assert there.strip() == str(score(build_criterion("random"), found)["a"].tolist())


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("magnitude_increase", "start"),
        ("movement", "start"),
        ("movement(source='gradient')", "batches"),
        ("snip", "loss"),
        ("grasp", "batches"),
        ("fisher", "loss"),
        ("synflow", "flow"),
        ("random", "key"),
    ],
)
def test_missing_evidence_is_named(name, missing):
    whole = evidence(start=START, flow=lambda p: p["b"], key=jax.random.key(0))
    assert np.isfinite(flat_score(name, whole)).all()
    with pytest.raises(ArgumentError, match=rf"evidence.{missing} is None but the criterion needs .*; give Evidence"):
        score(build_criterion(name), dataclasses.replace(whole, **{missing: None}))


def test_names_and_options_that_do_not_exist_are_named():
    assert {"magnitude", "large_final", "movement", "snip", "grasp", "synflow", "fisher"} <= set(CRITERIA.names())
    with pytest.raises(ConfigError, match=r"criterion.name is 'magnitud', which does not exist; did you mean 'magni"):
        build_criterion("magnitud")
    with pytest.raises(ConfigError, match=r"criterion.source is 'end' .* but must be one of"):
        build_criterion("movement(source='end')")
    with pytest.raises(ConfigError, match=r"criterion.examples_at_once is 0 but must lie in"):
        build_criterion("fisher(examples_at_once=0)")
    with pytest.raises(ArgumentError, match=r"density is 0 but must lie in"):
        synflow_iterations(0)
    with pytest.raises(ArgumentError, match=r"iterations is 0 but must lie in"):
        synflow_iterations(0.1, 0)
