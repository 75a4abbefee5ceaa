"""Filters, heads and n of m, against loops over numpy arrays and against the networks' outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repcon_jax.errors import ArgumentError, TreeError
from repcon_jax.lottery.masks import full_mask, is_nested
from repcon_jax.lottery.structure import build_structure
from repcon_jax.lottery.structures.filters import filter_counts, filter_mask, filter_scores
from repcon_jax.lottery.structures.heads import attention_mask, attention_scores
from repcon_jax.lottery.structures.n_of_m import n_of_m_mask
from repcon_jax.models import Attention, Layer, attach_head, create_encoder, create_head
from repcon_jax.models.encoders.vit import SelfAttention

SHAPES = {"conv": {"kernel": (3, 3, 2, 5), "bias": (5,)}, "dense": {"kernel": (4, 6)}, "norm": {"bias": (5,)}}


LAYERS = (Layer("conv", None, "conv", norm="norm"), Layer("dense", "conv", None))


def random_tree(seed, shapes=None):
    random = np.random.default_rng(seed)
    draw = lambda shape: random.normal(size=shape).astype(np.float32)  # noqa: E731
    return jax.tree.map(draw, shapes or SHAPES, is_leaf=lambda leaf: isinstance(leaf, tuple))


def test_a_filters_score_aggregates_all_that_feeds_one_output():
    scores = random_tree(0)
    kernel = scores["conv"]["kernel"]
    assert list(filter_scores(scores)) == ["conv/kernel", "dense/kernel"]
    for aggregate, reference in (("l2", np.linalg.norm), ("sum", np.sum)):
        expected = [reference(kernel[..., j].ravel().astype(np.float64)) for j in range(5)]
        np.testing.assert_allclose(filter_scores(scores, aggregate)["conv/kernel"], expected, rtol=1e-6)


def test_whole_filters_go_with_their_bias_and_norm_and_nothing_else():
    scores = random_tree(0)
    mask = filter_mask(scores, full_mask(scores), {"conv/kernel": 2, "dense/kernel": 6}, LAYERS)
    best = np.argsort(filter_scores(scores)["conv/kernel"])[-2:]
    for j in range(5):
        assert np.all(mask["conv"]["kernel"][..., j] == (j in best))
        assert bool(mask["conv"]["bias"][j]) == (j in best)
        assert bool(mask["norm"]["bias"][j]) == (j in best)
    assert np.all(mask["dense"]["kernel"])


def test_filters_that_are_gone_do_not_compete_and_pruned_entries_do_not_count():
    scores = {"dense": {"kernel": np.array([[9.0, 1.0, 1.0, 0.0], [9.0, 1.0, 9.0, 3.0]], np.float32)}}
    current = {"dense": {"kernel": np.array([[False, True, True, True], [False, True, False, True]])}}
    mask = filter_mask(scores, current, {"dense/kernel": 2}, LAYERS)
    assert mask["dense"]["kernel"].tolist() == [[False, True, False, True], [False, True, False, True]]
    assert is_nested(mask, current)
    with pytest.raises(TreeError, match="4 entries are to be kept at 'dense/kernel' but the mask keeps 3 there"):
        filter_mask(scores, current, {"dense/kernel": 4}, LAYERS)
    with pytest.raises(TreeError, match="'dense/bias' but the mask has no such leaf"):
        filter_mask(scores, current, {"dense/bias": 1}, LAYERS)
    with pytest.raises(TreeError, match="'dense/kernel' is no layer's that the model declares; keep it whole"):
        filter_mask(scores, current, {"dense/kernel": 2}, LAYERS[:1])


def test_every_layer_keeps_the_counted_number_of_filters():
    scores = random_tree(1)
    prunable = {"conv": {"kernel": True, "bias": True}, "dense": {"kernel": True}, "norm": {"bias": False}}
    keep = filter_counts(scores, prunable, 0.5)
    assert keep == {"conv/kernel": 3, "dense/kernel": 3}
    mask = filter_mask(scores, full_mask(scores), keep, LAYERS, "sum")
    for name, number in (("conv", 3), ("dense", 3)):
        kernel = np.asarray(mask[name]["kernel"]).reshape(-1, mask[name]["kernel"].shape[-1])
        assert np.all(kernel == kernel[0])
        assert np.sum(kernel[0]) == number


def test_filters_of_the_last_layer_are_the_outputs_and_stay():
    model = attach_head(create_encoder("mlp", widths=(4,)), create_head("linear", num_classes=3))
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 2, 2, 1)))[0]
    scores, prune = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), params), build_structure("filters")
    chosen = jax.tree.map(lambda leaf: leaf.ndim > 1, params)
    with pytest.raises(ArgumentError, match="prunable has 'head/output/kernel', but its filters are the outputs; take"):
        prune(scores, full_mask(params), chosen, 0.5, "global", model)
    chosen["head"]["output"]["kernel"] = False
    mask = prune(scores, full_mask(params), chosen, 0.5, "global", model)
    assert np.asarray(mask["encoder"]["linear1"]["bias"]).tolist() == [True, True, False, False]
    assert np.all(mask["head"]["output"]["kernel"])


ATTENTION = {"query_key_value": {"kernel": (6, 18), "bias": (18,)}, "output": {"kernel": (6, 6), "bias": (6,)}}


def attention(block):
    path = f"block{block}/attention"
    return Attention(path, 3, (f"{path}/query_key_value",), f"{path}/output")


BOTH = (attention(1), attention(2))


def test_a_pruned_head_adds_nothing_and_the_others_attend_as_before():
    params, num_heads = random_tree(0, ATTENTION), 3
    tree = {"block1": {"attention": params}}
    mask = attention_mask(tree, full_mask(tree), (attention(1),), {"block1/attention": 2})["block1"]["attention"]
    totals = attention_scores(tree, (attention(1),))["block1/attention"]
    gone = int(np.argmin(totals))
    # Without its rows of the output kernel a head cannot be heard: that defines what pruning it must give.
    deaf = params["output"]["kernel"].copy()
    deaf[2 * gone : 2 * gone + 2] = 0
    tokens = jnp.asarray(np.random.default_rng(1).normal(size=(2, 4, 6)), jnp.float32)
    apply = lambda tree: SelfAttention(num_heads, "float32").apply({"params": tree}, tokens)  # noqa: E731
    pruned = jax.tree.map(lambda leaf, kept: leaf * kept, params, mask)
    expected = apply(params | {"output": params["output"] | {"kernel": deaf}})
    np.testing.assert_allclose(apply(pruned), expected, rtol=1e-5, atol=1e-6)
    assert np.sum(~np.asarray(mask["query_key_value"]["kernel"])) == 6 * 3 * 2
    assert np.sum(~np.asarray(mask["query_key_value"]["bias"])) == 3 * 2
    assert np.sum(~np.asarray(mask["output"]["kernel"])) == 2 * 6
    assert np.all(mask["output"]["bias"])


def test_heads_go_one_after_the_other():
    tree = {"block1": {"attention": random_tree(0, ATTENTION)}, "block2": {"attention": random_tree(1, ATTENTION)}}
    two = attention_mask(tree, full_mask(tree), BOTH, {"block1/attention": 2, "block2/attention": 2})
    other = jax.tree.map(lambda leaf: -leaf, tree)
    one = attention_mask(other, two, BOTH, {"block1/attention": 1, "block2/attention": 1}, aggregate="sum")
    assert is_nested(one, two)
    for block in ("block1", "block2"):
        assert np.sum(one[block]["attention"]["output"]["kernel"]) == 2 * 6
    with pytest.raises(TreeError, match="2 entries are to be kept at 'block1/attention' but the mask keeps 1"):
        attention_mask(tree, one, BOTH, {"block1/attention": 2})


def test_pruned_entries_of_a_head_do_not_count():
    tree = {"block1": {"attention": jax.tree.map(np.ones_like, random_tree(0, ATTENTION))}}
    current = jax.tree.map(lambda leaf: leaf > 0, tree)
    current["block1"]["attention"]["output"]["kernel"][0, :2] = False
    tree["block1"]["attention"]["output"]["kernel"][0, :2] = 100.0
    mask = attention_mask(tree, current, (attention(1),), {"block1/attention": 2})
    assert not np.any(mask["block1"]["attention"]["output"]["kernel"][:2])


def test_projections_of_their_own_lose_the_same_heads_as_a_joint_one():
    joint = random_tree(0, ATTENTION)
    names = ("query", "key", "value")
    parts = {
        leaf: dict(zip(names, np.split(joint["query_key_value"][leaf], 3, axis=-1), strict=True))
        for leaf in ("kernel", "bias")
    }
    apart = {name: {leaf: parts[leaf][name] for leaf in parts} for name in names} | {"output": joint["output"]}
    projections = tuple(f"a/{name}" for name in names)
    tree, declared = {"a": apart}, Attention("a", 3, projections, "a/output")
    mask = attention_mask(tree, full_mask(tree), (declared,), {"a": 1})["a"]
    tree = {"block1": {"attention": joint}}
    expected = attention_mask(tree, full_mask(tree), (attention(1),), {"block1/attention": 1})["block1"]["attention"]
    for leaf in ("kernel", "bias"):
        found = np.concatenate([mask[name][leaf] for name in names], axis=-1)
        np.testing.assert_array_equal(found, expected["query_key_value"][leaf])
    np.testing.assert_array_equal(mask["output"]["kernel"], expected["output"]["kernel"])


def test_every_family_of_transformers_prunes_its_own_number_of_heads_and_others_have_none():
    head, prune = create_head("linear", num_classes=3), build_structure("heads")

    def pruned(encoder, density):
        model = attach_head(encoder, head)
        params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))[0]
        scores = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), params)
        return prune(scores, full_mask(params), None, density, "global", model)

    for tied, block in ((False, "block2"), (True, "block")):
        mask = pruned(create_encoder("vit_tiny", depth=2, tied=tied), 0.34)["encoder"][block]
        assert np.sum(mask["attention"]["output"]["kernel"][:, 0]) == 64
        assert np.all(mask["hidden"]["kernel"])
    with pytest.raises(ArgumentError, match="model declares no attention; take a transformer, or prune filters"):
        pruned(create_encoder("mlp", widths=(4,)), 0.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(1, 2), (2, 4), (4, 8), (3, 3)]), st.booleans())
def test_exactly_n_of_every_m_inputs_are_kept_and_the_rest_whole(seed, numbers, coarse):
    n, m = numbers
    scores = random_tree(seed, {"conv": (3, 3, 4, 2), "dense": (11, 3), "bias": (4,)})
    scores = jax.tree.map(np.round, scores) if coarse else scores
    mask = n_of_m_mask(scores, n, m)
    assert np.all(mask["bias"])
    for name in ("conv", "dense"):
        rows, kept = (np.asarray(tree[name]).reshape(-1, tree[name].shape[-1]) for tree in (scores, mask))
        whole = len(rows) // m * m
        assert np.all(kept[whole:])
        for start in range(0, whole, m):
            for j in range(rows.shape[1]):
                best = sorted(range(start, start + m), key=lambda i: (-rows[i, j], i))[:n]
                assert set(start + np.flatnonzero(kept[start : start + m, j])) == set(best)


def test_groups_of_a_convolution_are_neighbouring_channels_where_they_divide():
    scores = random_tree(0, {"kernel": (3, 3, 8, 2)})
    kept = np.asarray(n_of_m_mask(scores)["kernel"])
    np.testing.assert_array_equal(kept.reshape(3, 3, 2, 4, 2).sum(axis=3), 2)


def test_n_of_m_keeps_leaves_that_are_not_prunable_and_refuses_what_cannot_be():
    scores = random_tree(0)
    prunable = {"conv": {"kernel": False, "bias": False}, "dense": {"kernel": True}, "norm": {"bias": False}}
    mask = n_of_m_mask(scores, prunable=prunable)
    assert np.all(mask["conv"]["kernel"])
    assert np.sum(mask["dense"]["kernel"]) == 2 * 6
    with pytest.raises(ArgumentError, match=r"n is 5 but must lie in \[1, 4\]"):
        n_of_m_mask(scores, 5, 4)
    with pytest.raises(TreeError, match="a score is NaN at 'kernel'"):
        n_of_m_mask({"kernel": np.full((4, 1), np.nan)})
