"""Masks as sets: counts, their algebra and shuffling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repcon_jax.errors import TreeError
from repcon_jax.lottery.masks import (
    check_mask,
    counts,
    density,
    empty_layers,
    full_mask,
    hamming_distance,
    intersection,
    is_nested,
    layer_densities,
    mask_agreement,
    shuffle_within_layers,
    sign_agreement,
    sparsity,
    union,
)
from repcon_jax.trees import named_leaves

SHAPES = {"conv": {"kernel": (3, 3, 2, 5), "bias": (5,)}, "dense": {"kernel": (4, 7)}, "gain": ()}


def random_mask(seed, probability=0.5, shapes=None):
    random = np.random.default_rng(seed)
    draw = lambda shape: np.asarray(random.random(shape) < probability)  # noqa: E731
    return jax.tree.map(draw, shapes or SHAPES, is_leaf=lambda leaf: isinstance(leaf, tuple))


def flat(tree):
    return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


def test_the_full_mask_keeps_everything_and_fits():
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.bfloat16), random_mask(0))
    mask = full_mask(params)
    check_mask(mask, params)
    assert counts(mask) == {name: (leaf.size, leaf.size) for name, leaf in named_leaves(params).items()}
    assert (density(mask), sparsity(mask), empty_layers(mask)) == (1.0, 0.0, [])


def test_densities_count_entries_of_all_or_of_prunable_leaves():
    mask = random_mask(1)
    assert density(mask) == np.mean(flat(mask))
    assert sparsity(mask) == pytest.approx(np.mean(~flat(mask)))
    prunable = {"conv": {"kernel": True, "bias": False}, "dense": {"kernel": True}, "gain": False}
    kernels = [mask["conv"]["kernel"].ravel(), mask["dense"]["kernel"].ravel()]
    assert density(mask, prunable) == np.mean(np.concatenate(kernels))
    assert layer_densities(mask)["dense/kernel"] == np.mean(mask["dense"]["kernel"])


def test_empty_layers_are_those_that_keep_nothing_of_something():
    mask = {"a": jnp.zeros(3, bool), "b": jnp.array([False, True]), "c": jnp.zeros((0, 2), bool)}
    assert empty_layers(mask) == ["a"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_masks_are_sets(first_seed, second_seed):
    first, second = random_mask(first_seed, 0.3), random_mask(second_seed, 0.6)
    one, other = flat(first), flat(second)
    np.testing.assert_array_equal(flat(union(first, second)), one | other)
    np.testing.assert_array_equal(flat(intersection(first, second)), one & other)
    assert is_nested(intersection(first, second), first)
    assert is_nested(first, union(first, second))
    assert is_nested(first, second) == bool(np.all(other[one]))
    assert hamming_distance(first, second) == (np.sum(one != other), np.mean(one != other))
    assert mask_agreement(first, second) == np.sum(one & other) / np.sum(one | other)
    assert mask_agreement(first, first) == 1.0


def test_masks_that_keep_nothing_agree():
    nothing = random_mask(0, 0.0)
    assert mask_agreement(nothing, nothing) == 1.0


def test_signs_are_compared_where_the_mask_keeps():
    first = {"w": jnp.array([1.0, -1.0, 0.0, 0.0, 2.0])}
    second = {"w": jnp.array([9.0, 1.0, 0.0, -1.0, -2.0])}
    mask = {"w": jnp.array([True, True, True, True, False])}
    assert sign_agreement(first, second, mask) == 0.5
    assert np.isnan(sign_agreement(first, second, {"w": jnp.zeros(5, bool)}))


def test_shuffling_keeps_the_counts_of_layers_and_depends_on_the_key_alone():
    mask = {"a": random_mask(3)["conv"]["kernel"], "b": np.ones(5, bool), "c": np.zeros((9, 10), bool)}
    shuffled = shuffle_within_layers(mask, jax.random.key(0))
    check_mask(shuffled, mask)
    assert counts(shuffled) == counts(mask)
    assert hamming_distance(shuffled, mask)[0] > 0
    assert hamming_distance(shuffled, shuffle_within_layers(mask, jax.random.key(0)))[0] == 0
    assert hamming_distance(shuffled, shuffle_within_layers(mask, jax.random.key(1)))[0] > 0


def test_leaves_of_one_shape_are_shuffled_independently():
    half = np.arange(40) < 20
    shuffled = shuffle_within_layers({"a": half, "b": half}, jax.random.key(0))
    assert np.any(shuffled["a"] != shuffled["b"])


def test_masks_that_do_not_fit_are_refused_by_their_first_differing_path():
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), random_mask(0))
    mask = random_mask(0)
    with pytest.raises(TreeError, match=r"'mask' has shape \(2,\) at 'gain' where 'params' has \(\)"):
        check_mask(mask | {"gain": np.ones(2, bool)}, params)
    with pytest.raises(TreeError, match="'mask' has nothing at 'dense/kernel'"):
        check_mask(mask | {"dense": {}}, params)
    with pytest.raises(TreeError, match="the mask is int32 at 'gain' but must be boolean; compare it"):
        check_mask(mask | {"gain": np.int32(1)}, params)
    check_mask(mask | {"gain": True}, params)
    for compare in (union, intersection, is_nested, hamming_distance, mask_agreement):
        with pytest.raises(TreeError, match="'second mask' has nothing at 'gain'"):
            compare(mask, {name: leaf for name, leaf in mask.items() if name != "gain"})
