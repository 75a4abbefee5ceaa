"""Rules of what may be pruned, on the package's own networks."""

import jax
import jax.numpy as jnp
import pytest

from repcon_jax.errors import ConfigError
from repcon_jax.lottery.prunable import prunable
from repcon_jax.models import attach_head, create_encoder, create_head
from repcon_jax.trees import named_leaves

TREE = {
    "encoder": {"conv": {"kernel": 1, "bias": 2}, "norm": {"scale": 3, "bias": 4}},
    "head": {"output": {"kernel": 5, "bias": 6}},
}


def pruned(rules, params):
    return {name for name, may in named_leaves(prunable(rules, params)).items() if may}


def shapes(encoder, head):
    return jax.eval_shape(attach_head(encoder, head).init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))[0]


def test_named_rules_choose_kernels_kernels_but_the_last_or_everything():
    assert pruned("kernels", TREE) == {"encoder/conv/kernel", "head/output/kernel"}
    assert pruned("kernels_but_output", TREE) == {"encoder/conv/kernel"}
    assert pruned("everything", TREE) == set(named_leaves(TREE))
    assert all(type(leaf) is bool for leaf in jax.tree.leaves(prunable("kernels", TREE)))


@pytest.mark.parametrize(
    ("options", "last"),
    [({}, "head/output/linear/kernel"), ({"output_size": None}, "head/bottleneck/linear/kernel")],
)
def test_rules_fit_a_transformer_and_the_projector_with_and_without_output(options, last):
    encoder = create_encoder("vit_tiny", patch_size=4, depth=1)
    params = shapes(encoder, create_head("projector", hidden_sizes=(4,), bottleneck_size=3, **options))
    kernels = pruned("kernels", params)
    assert kernels == {name for name in named_leaves(params) if name.endswith("/kernel")}
    assert "encoder/block1/output/kernel" in kernels
    assert kernels - pruned("kernels_but_output", params) == {last}


def test_kernels_are_of_two_axes_or_more_in_a_network_with_normalisation():
    params = shapes(create_encoder("mlp", widths=(4,), normalisation="layer"), create_head("linear", num_classes=2))
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
        (((".*", "cut"),), "has the action 'cut' but it must be 'prune' or 'keep'"),
        ((("(", "prune"),), r"has '\(', which is no regular expression"),
        ("kernel", r"is 'kernel', which does not exist; did you mean 'kernels'\?"),
    ],
)
def test_rules_that_do_not_fit_are_refused(rules, message):
    with pytest.raises(ConfigError, match=message):
        prunable(rules, TREE)


def test_an_encoder_alone_has_no_last_layer_to_keep():
    with pytest.raises(ConfigError, match="no parameter lies in head/output/ or head/bottleneck/; give rules"):
        prunable("kernels_but_output", {"encoder": TREE["encoder"]})
