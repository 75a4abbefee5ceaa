"""Exact counts, the k-th value rule and the ways to share a count, against numpy and brute force."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repcon_jax.errors import ArgumentError, ConfigError, TreeError
from repcon_jax.lottery.allocation import DISTRIBUTIONS, PrunableLeaf, allocate
from repcon_jax.lottery.counting import kept_count, share
from repcon_jax.lottery.masks import counts, density, full_mask, is_nested
from repcon_jax.lottery.schedules import geometric
from repcon_jax.lottery.selection import keep_counts, prune_to_density, select
from repcon_jax.trees import map_named

SHAPES = {"conv": {"kernel": (3, 3, 2, 5), "bias": (5,)}, "wide": {"kernel": (20, 7)}, "small": {"kernel": (2, 3)}}
PRUNABLE = {"conv": {"kernel": True, "bias": False}, "wide": {"kernel": True}, "small": {"kernel": True}}
PATHS = ("conv/kernel", "small/kernel", "wide/kernel")
NAMES = ("global", "uniform", "erdos_renyi", "erk", "by_layer(targets=(('conv', 0.5), ('.*', 0.1)))")


def random_scores(seed, values=None):
    random = np.random.default_rng(seed)
    draw = lambda shape: random.choice(values, shape) if values else random.normal(size=shape)  # noqa: E731
    return jax.tree.map(draw, SHAPES, is_leaf=lambda leaf: isinstance(leaf, tuple))


def flat(tree):
    return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


def kept_of(mask):
    found = counts(mask)
    return {name: found[name][0] for name in PATHS}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.sampled_from(NAMES), st.sampled_from([None, [0.0, 1.0]]))
def test_the_overall_count_follows_the_rule_to_the_entry(seed, target, distribution, values):
    scores = random_scores(seed, values)
    mask = prune_to_density(scores, full_mask(scores), PRUNABLE, target, distribution)
    total = 90 + 140 + 6
    pruned = (1 - Fraction(repr(target))) * total
    whole, rest = divmod(pruned, 1)
    half_even = whole + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1))
    assert sum(kept_of(mask).values()) == total - half_even == kept_count(total, target)
    assert np.all(mask["conv"]["bias"])


@pytest.mark.parametrize("distribution", NAMES)
def test_masks_are_nested_and_counts_exact_over_rounds(distribution):
    mask = full_mask(random_scores(0))
    for turn, target in enumerate(geometric(fraction=0.3, rounds=12)):
        smaller = prune_to_density(random_scores(turn), mask, PRUNABLE, target, distribution)
        assert is_nested(smaller, mask)
        assert sum(kept_of(smaller).values()) == kept_count(236, target)
        assert density(smaller, PRUNABLE) == kept_count(236, target) / 236
        mask = smaller


@pytest.mark.parametrize("number", [0, 1, 100, 240, 241])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_global_selection_agrees_with_argpartition_without_ties(number, dtype):
    order = iter(np.split(np.random.default_rng(0).permutation(241), [5, 95, 101]))
    scores = jax.tree.map(lambda leaf: jnp.asarray(next(order).reshape(leaf.shape), dtype), random_scores(0))
    expected = np.zeros(241, bool)
    values = flat(scores).astype(np.float32)
    expected[np.argpartition(-values, max(number - 1, 0))[:number]] = True
    np.testing.assert_array_equal(flat(select(scores, full_mask(scores), number)), expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 100))
def test_ties_go_to_the_first_in_flatten_order_among_those_that_compete(seed, number):
    scores = random_scores(seed, [-np.inf, -1.0, 0.0, -0.0, 2.0, np.inf])
    current = jax.tree.map(lambda leaf: leaf > 0, random_scores(seed + 1))
    competing = np.flatnonzero(flat(current))
    number = min(number, len(competing))
    best = sorted(competing, key=lambda index: (-flat(scores)[index], index))[:number]
    np.testing.assert_array_equal(np.flatnonzero(flat(select(scores, current, number))), sorted(best))


def test_counts_by_path_select_within_each_leaf_and_leave_the_others():
    scores = random_scores(0)
    mask = select(scores, full_mask(scores), {"conv/bias": 2, "small/kernel": 0})
    assert set(np.flatnonzero(mask["conv"]["bias"])) == set(np.argsort(scores["conv"]["bias"])[-2:])
    assert counts(mask)["small/kernel"] == (0, 6)
    assert counts(mask)["wide/kernel"] == (140, 140)


def test_leaves_that_are_not_prunable_do_not_compete():
    scores = map_named(lambda name, leaf: leaf - 100 if name == "conv/bias" else leaf, random_scores(0))
    assert counts(select(scores, full_mask(scores), 3, PRUNABLE))["conv/bias"] == (5, 5)
    assert counts(select(scores, full_mask(scores), 236))["conv/bias"] == (0, 5)


def test_selections_that_cannot_be_are_refused():
    scores = random_scores(0)
    mask = select(scores, full_mask(scores), {"wide/kernel": 7})
    with pytest.raises(TreeError, match="8 entries are to be kept at 'wide/kernel' but the mask keeps 7 there"):
        select(scores, mask, {"wide/kernel": 8})
    with pytest.raises(TreeError, match="-1 entries are to be kept"):
        select(scores, mask, -1)
    with pytest.raises(TreeError, match="a count is given for 'deep' but the mask has no such leaf; take one of conv/"):
        select(scores, mask, {"deep": 1})
    with pytest.raises(TreeError, match="a score is NaN at 'small/kernel'"):
        select(scores | {"small": {"kernel": np.full((2, 3), np.nan)}}, mask, {"small/kernel": 1})
    with pytest.raises(
        ArgumentError, match=r"is 0\.9, 212 of 236 prunable entries, but the mask keeps 103 and no entry"
    ):
        keep_counts(mask, PRUNABLE, 0.9)
    with pytest.raises(ArgumentError, match=r"density is 1\.1 but must lie in \[0, 1\]"):
        keep_counts(mask, PRUNABLE, 1.1)


def test_pruned_entries_may_have_any_score():
    scores = {"w": np.array([np.nan, 1.0, 2.0])}
    assert select(scores, {"w": np.array([False, True, True])}, 1)["w"].tolist() == [False, False, True]


def test_a_tie_rounds_the_pruned_number_to_the_even_one():
    assert [kept_count(total, 0.5) for total in (1, 3, 5, 7)] == [1, 1, 3, 3]
    # In floats (1 - 0.9) * 15 is 1.4999999999999998, no tie.
    assert kept_count(15, 0.9) == 13
    assert kept_count(25, 0.9) == 23


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=6), st.floats(0, 1))
def test_shared_counts_sum_exactly_respect_caps_and_are_proportional_below_them(layers, part):
    weights = {str(index): weight for index, (weight, _) in enumerate(layers)}
    caps = {str(index): cap for index, (_, cap) in enumerate(layers)}
    kept = round(part * sum(caps.values()))
    found = share(kept, weights, caps)
    assert sum(found.values()) == kept
    assert all(0 <= found[name] <= caps[name] for name in caps)
    # One scale must fit all: below the cap a count is within 1 of its share, at the cap the share is not far below.
    low = max((Fraction(found[name] - 1, weights[name]) for name in caps), default=0)
    high = min((Fraction(found[name] + 1, weights[name]) for name in caps if found[name] < caps[name]), default=None)
    assert high is None or low < high


def layers_of(shapes, current=None):
    current = current or {}
    return {name: PrunableLeaf(shape, current.get(name, int(np.prod(shape)))) for name, shape in shapes.items()}


def test_uniform_densities_are_equal_where_sizes_allow():
    layers = layers_of({"a": (10, 10), "b": (3, 3, 2, 10), "c": (20,)})
    assert allocate("uniform", layers, 30) == {"a": 10, "b": 18, "c": 2}


@pytest.mark.parametrize("name", ["erdos_renyi", "erk"])
def test_erdos_renyi_densities_have_the_ratios_of_the_paper(name):
    shapes = {"conv": (3, 3, 64, 128), "wide": (512, 1024), "last": (300, 200)}
    kept = 20_000
    found = DISTRIBUTIONS.build(name, layers_of(shapes), kept)
    assert sum(found.values()) == kept
    window = {"erdos_renyi": (64 + 128) / (64 * 128), "erk": (64 + 128 + 3 + 3) / (64 * 128 * 3 * 3)}[name]
    ratios = {"conv": window, "wide": (512 + 1024) / (512 * 1024), "last": (300 + 200) / (300 * 200)}
    scales = [found[layer] / np.prod(shapes[layer]) / ratios[layer] for layer in shapes]
    np.testing.assert_allclose(scales, scales[0], rtol=2e-3)


def test_layers_that_would_be_denser_than_full_are_full_and_the_rest_is_shared_in_proportion():
    shapes = {"bias": (8,), "small": (2, 3), "large": (40, 30), "larger": (70, 30)}
    found = allocate("erk", layers_of(shapes), 700)
    assert (found["bias"], found["small"]) == (8, 6)
    assert sum(found.values()) == 700
    np.testing.assert_allclose(found["large"] / found["larger"], 70 / 100, rtol=5e-3)


def test_counts_never_exceed_what_the_mask_keeps():
    layers = layers_of({"a": (10, 10), "b": (10, 10)}, {"a": 7, "b": 90})
    assert allocate("uniform", layers, 60) == {"a": 7, "b": 53}
    assert allocate("uniform", layers, 97) == {"a": 7, "b": 90}


def test_targets_are_densities_where_they_come_to_the_overall_one_and_ratios_elsewhere():
    layers = layers_of({"head/w": (10, 10), "stem/w": (20, 10), "wide/w": (70, 10)})
    text = "by_layer(targets=(('^head/', 0.5), ('^stem/', 0.2), ('.*', 0.1)))"
    assert allocate(text, layers, 160) == {"head/w": 50, "stem/w": 40, "wide/w": 70}
    assert allocate(text, layers, 16) == {"head/w": 5, "stem/w": 4, "wide/w": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("erc", r"distribution has 'erc': distribution.name is 'erc', which does not exist; did you mean 'erk'"),
        ("uniform(density=1)", "distribution.density is not an option of 'uniform'"),
        ("by_layer", "distribution.targets cover no parameter 'stem/w'"),
        ("by_layer(targets=(('stem', 0.5), ('head', 0.5)))", "has the pattern 'head', which decides for no parameter"),
        ("by_layer(targets=(('stem', 0.0),))", r"distribution.targets is 0\.0 but must lie in \(0, 1\]"),
        ("uniform(", "must be a name or a call"),
    ],
)
def test_distributions_that_do_not_fit_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        allocate(text, layers_of({"stem/w": (2, 2)}), 1)


def test_every_distribution_is_found():
    assert DISTRIBUTIONS.names() == ["by_layer", "erdos_renyi", "erk", "global", "uniform"]
