"""Rules of what may be pruned, on the package's own networks."""

import jax
import jax.numpy as jnp
import pytest

from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.lottery.prunable import prunable
from repcon_jax.models import attach_head, create_encoder, create_head, join_heads
from repcon_jax.trees import named_leaves

TREE = {
    "encoder": {"conv": {"kernel": 1, "bias": 2}, "norm": {"scale": 3, "bias": 4}},
    "head": {"output": {"kernel": 5, "bias": 6}},
}


def pruned(rules, params, model=None):
    return {name for name, chosen in named_leaves(prunable(rules, params, model)).items() if chosen}


def shapes(model):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))[0]


def test_named_rules_choose_kernels_kernels_but_the_last_or_everything():
    assert pruned("kernels", TREE) == {"encoder/conv/kernel", "head/output/kernel"}
    model = attach_head(create_encoder("convnet"), create_head("linear", num_classes=2))
    assert pruned("kernels_but_output", TREE, model) == {"encoder/conv/kernel"}
    assert pruned("everything", TREE) == set(named_leaves(TREE))
    assert all(type(leaf) is bool for leaf in jax.tree.leaves(prunable("kernels", TREE)))


@pytest.mark.parametrize(
    ("options", "last"),
    [({}, "head/output/linear/kernel"), ({"output_size": None}, "head/bottleneck/linear/kernel")],
)
def test_rules_fit_a_transformer_and_the_projector_with_and_without_output(options, last):
    encoder = create_encoder("vit_tiny", patch_size=4, depth=1)
    model = attach_head(encoder, create_head("projector", hidden_sizes=(4,), bottleneck_size=3, **options))
    params = shapes(model)
    kernels = pruned("kernels", params)
    assert kernels == {name for name in named_leaves(params) if name.endswith("/kernel")}
    assert "encoder/block1/output/kernel" in kernels
    assert kernels - pruned("kernels_but_output", params, model) == {last}


def test_the_last_layer_of_each_of_several_heads_is_kept():
    heads = {name: create_head("linear", num_classes=2) for name in ("a", "b")}
    model = attach_head(create_encoder("mlp", widths=(4,)), join_heads(heads))
    params = shapes(model)
    assert pruned("kernels_but_output", params, model) == {"encoder/linear1/kernel"}


def test_kernels_are_of_two_axes_or_more_in_a_network_with_normalisation():
    encoder = create_encoder("mlp", widths=(4,), normalisation="layer")
    params = shapes(attach_head(encoder, create_head("linear", num_classes=2)))
    kernels = pruned("kernels", params)
    assert kernels == {name for name, leaf in named_leaves(params).items() if leaf.ndim > 1}


def test_the_first_rule_that_matches_decides():
    rules = (("^head", "keep"), ("kernel|scale", "prune"), (".*", "keep"))
    assert pruned(rules, TREE) == {"encoder/conv/kernel", "encoder/norm/scale"}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ((("kernel", "prune"),), r"cover no parameter 'encoder/conv/bias'; end them with \('.\*', 'keep'\)"),
        ((("kernal", "prune"), (".*", "prune")), "has the pattern 'kernal', which decides for no parameter"),
        (((".*", "keep"),), "keep all 6 parameters but at least one must be prunable; add a rule"),
        (((".*", "cut"),), "have the action 'cut' but it must be 'prune' or 'keep'"),
        ((("(", "prune"),), r"has '\(', which is no regular expression"),
        ("kernel", r"are 'kernel', which does not exist; did you mean 'kernels'\?"),
    ],
)
def test_rules_that_do_not_fit_are_refused(rules, message):
    with pytest.raises((ArgumentError, ConfigError), match=message):
        prunable(rules, TREE)


def test_an_encoder_alone_has_no_last_layer_to_keep():
    for model in (None, create_encoder("mlp")):
        with pytest.raises(
            ArgumentError, match="rules are 'kernels_but_output' but the model declares no last layer; g"
        ):
            prunable("kernels_but_output", {"encoder": TREE["encoder"]}, model)
