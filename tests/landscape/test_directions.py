"""Directions against numpy, filter by filter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import TreeError
from repcon_jax.landscape.directions import (
    filter_normalise,
    filter_norms,
    layer_normalise,
    principal_directions,
    random_direction,
)
from repcon_jax.trees import combine

SHAPES = {"conv": {"kernel": (3, 3, 4, 5), "bias": (5,)}, "norm": {"scale": (5,)}, "position": (1, 6, 7), "gain": ()}


def random_tree(seed, scale=1.0):
    random = np.random.default_rng(seed)
    draw = lambda shape: jnp.asarray(scale * random.normal(size=shape), jnp.float32)  # noqa: E731
    return jax.tree.map(draw, SHAPES, is_leaf=lambda leaf: isinstance(leaf, tuple))


def flat(tree):
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def test_a_random_direction_is_standard_normal_and_its_leaves_and_keys_are_independent():
    like = {"first": jnp.zeros((40, 50)), "second": jnp.zeros((40, 50), jnp.bfloat16)}
    direction = jax.jit(lambda key: random_direction(key, like))(jax.random.key(0))
    other = random_direction(jax.random.key(1), like)
    draws = np.stack([direction["first"].ravel(), direction["second"].ravel(), other["first"].ravel()])
    assert draws.dtype == np.float32
    np.testing.assert_allclose(np.cov(draws), np.eye(3), atol=0.15)
    jax.tree.map(np.testing.assert_array_equal, random_direction(jax.random.key(0), like), direction)


def test_every_filter_takes_its_own_norm_and_leaves_without_filters_become_zero():
    direction, reference = random_tree(0), random_tree(1, scale=7.0)
    scaled = jax.jit(filter_normalise)(direction, reference)
    for kernel, drawn, own in [
        (scaled["conv"]["kernel"], direction["conv"]["kernel"], reference["conv"]["kernel"]),
        (scaled["position"], direction["position"], reference["position"]),
    ]:
        for j in range(own.shape[-1]):
            factor = np.linalg.norm(own[..., j]) / np.linalg.norm(drawn[..., j])
            np.testing.assert_allclose(kernel[..., j], drawn[..., j] * factor, rtol=1e-5)
    for leaf in (scaled["conv"]["bias"], scaled["norm"]["scale"], scaled["gain"]):
        assert not np.any(leaf)


def test_filter_norms_are_those_of_the_filters_and_broadcast():
    params = random_tree(2)
    norms = filter_norms(params)
    for j in range(5):
        expected = np.linalg.norm(params["conv"]["kernel"][..., j])
        np.testing.assert_allclose(norms["conv"]["kernel"][0, 0, 0, j], expected, rtol=1e-6)
    assert jax.tree.map(jnp.shape, jax.tree.map(jnp.add, params, norms)) == jax.tree.map(jnp.shape, params)
    assert not np.any(norms["norm"]["scale"])


def test_rescaling_filters_rescales_the_direction_alike_and_the_drawn_scale_does_not_matter():
    direction, reference = random_tree(0), random_tree(1)
    factors = jnp.arange(1.0, 6.0)
    rescaled = {**reference, "conv": {**reference["conv"], "kernel": reference["conv"]["kernel"] * factors}}
    doubled = jax.tree.map(lambda leaf: 2.0 * leaf, direction)
    actual = filter_normalise(doubled, rescaled)["conv"]["kernel"]
    np.testing.assert_allclose(actual, filter_normalise(direction, reference)["conv"]["kernel"] * factors, rtol=1e-5)


def test_a_filter_of_zeros_in_the_direction_stays_zero():
    direction, reference = jax.tree.map(jnp.zeros_like, random_tree(0)), random_tree(1)
    assert not np.any(flat(filter_normalise(direction, reference)))


def test_every_kernel_takes_its_own_norm():
    direction, reference = random_tree(0), random_tree(1, scale=7.0)
    scaled = layer_normalise(direction, reference)
    np.testing.assert_allclose(np.linalg.norm(scaled["position"]), np.linalg.norm(reference["position"]), rtol=1e-5)
    cosine = np.vdot(scaled["position"], direction["position"]) / np.linalg.norm(scaled["position"])
    np.testing.assert_allclose(cosine, np.linalg.norm(direction["position"]), rtol=1e-5)
    assert not np.any(scaled["norm"]["scale"])


def test_directions_of_another_architecture_are_refused():
    with pytest.raises(TreeError, match="'direction' has shape"):
        filter_normalise({**random_tree(0), "gain": jnp.zeros(2)}, random_tree(1))


def trajectory(points=6, size=10.0):
    # Small steps about a large network, as in training.
    centre = random_tree(100, scale=size)
    return [combine([centre, random_tree(seed)], [1.0, 0.1 / (1 + seed)]) for seed in range(points)]


@pytest.mark.parametrize("centred_on_the_last", [False, True])
@pytest.mark.parametrize("stacked", [False, True])
def test_principal_directions_agree_with_a_singular_value_decomposition(centred_on_the_last, stacked):
    points = trajectory()
    matrix = np.stack([flat(point) for point in points])
    offsets = matrix - (matrix[-1] if centred_on_the_last else matrix.mean(axis=0))
    _, singular, right = np.linalg.svd(offsets, full_matrices=False)
    given = jax.tree.map(lambda *leaves: jnp.stack(leaves), *points) if stacked else points
    directions, ratios = principal_directions(given, points[-1] if centred_on_the_last else None, count=3)
    np.testing.assert_allclose(ratios, singular[:3] ** 2 / np.sum(singular**2), rtol=1e-5)
    actual = np.stack([flat(direction) for direction in directions])
    np.testing.assert_allclose(np.abs(np.sum(actual * right[:3], axis=1)), np.ones(3), rtol=1e-5)
    np.testing.assert_allclose(actual @ actual.T, np.eye(3), atol=1e-6)
    coordinates = offsets @ actual.T
    assert np.all(coordinates[np.argmax(np.abs(coordinates), axis=0), np.arange(3)] > 0)


def test_all_directions_of_a_trajectory_explain_all_of_it():
    _, ratios = principal_directions(trajectory(4), count=3)
    np.testing.assert_allclose(np.sum(ratios), 1.0, rtol=1e-6)


def test_a_trajectory_that_varies_along_too_few_directions_is_refused():
    start, end = random_tree(0), random_tree(1)
    line = [combine([start, end], [1 - weight, weight]) for weight in (0.0, 0.3, 0.6, 1.0)]
    assert len(principal_directions(line, count=1)[0]) == 1
    with pytest.raises(TreeError, match=r"4 points varies along 1 directions .* 2 are asked for; take"):
        principal_directions(line)
    with pytest.raises(TreeError, match="varies along 0 directions"):
        principal_directions([start, start])
    with pytest.raises(TreeError, match="'centre' has nothing at"):
        principal_directions(line, centre={"conv": start["conv"]})
    with pytest.raises(TreeError, match="'point 1' has shape"):
        principal_directions([start, {**end, "gain": jnp.zeros(3)}])
