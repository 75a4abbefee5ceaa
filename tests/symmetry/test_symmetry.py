"""Permuted networks compute the same and are found again."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax import losses
from repcon_jax.errors import ArgumentError, TreeError
from repcon_jax.landscape.barriers import barrier
from repcon_jax.landscape.paths import linear_path
from repcon_jax.merging import match_weights
from repcon_jax.models import Blocks, attach_head, create_encoder, create_head, from_linen, join_heads
from repcon_jax.models.encoders.mlp import Mlp
from repcon_jax.models.encoders.resnet import resnet
from repcon_jax.models.encoders.vit import vit
from repcon_jax.symmetry import (
    apply_permutation,
    build_spec,
    identity_permutation,
    inverse_permutation,
    permutation_spec,
    random_permutation,
)
from repcon_jax.trees import dot
from repcon_jax.typing import ModelState, Params

LINEAR = ("linear", {"num_classes": 3})
PROJECTOR = ("projector", {"hidden_sizes": (9, 8), "bottleneck_size": 5, "output_size": 7})
WITHOUT_OUTPUT = ("projector", {"hidden_sizes": (), "bottleneck_size": 5, "output_size": None})
WITHOUT_BOTTLENECK = ("projector", {"hidden_sizes": (9,), "bottleneck_size": None, "output_size": 7})

# name of the encoder, its options, side of the images, head
NETWORKS = {
    "mlp": ("mlp", {"widths": (12, 10)}, 4, PROJECTOR),
    "mlp, batch": ("mlp", {"widths": (12, 10), "normalisation": "batch"}, 4, LINEAR),
    "mlp, layer": ("mlp", {"widths": (12, 10), "normalisation": "layer"}, 4, WITHOUT_OUTPUT),
    "convnet, instance": ("convnet", {"width": 0.1, "num_stages": 2, "normalisation": "instance"}, 8, LINEAR),
    "vgg11": ("vgg11", {"width": 0.1, "num_stages": 3}, 16, PROJECTOR),
    "vgg11, batch": ("vgg11", {"width": 0.1, "num_stages": 3, "normalisation": "batch"}, 16, WITHOUT_BOTTLENECK),
    "vgg11, linear": ("vgg11", {"width": 0.1, "num_stages": 2, "fully_connected": (9, 8)}, 8, LINEAR),
    "resnet20": ("resnet20", {"width": 0.3}, 8, LINEAR),
    "resnet50": ("resnet50", {"channels": 4, "stem": "imagenet"}, 16, PROJECTOR),
    "vit": ("vit", {"depth": 2, "patch_size": 4}, 8, LINEAR),
    "vit, scaled": ("vit", {"depth": 2, "patch_size": 4, "layer_scale": 0.5, "num_registers": 2}, 8, LINEAR),
    "vit, tied": ("vit", {"depth": 2, "patch_size": 4, "tied": True}, 8, PROJECTOR),
}


@dataclasses.dataclass(frozen=True)
class Network:
    model: object
    params: Params
    state: ModelState
    spec: object
    images: jax.Array

    def permuted(self, seed=7):
        order = random_permutation(self.spec, jax.random.key(seed))
        return order, apply_permutation(self.spec, order, self.params), apply_permutation(self.spec, order, self.state)


def noisy(tree, seed):
    draw = np.random.default_rng(seed).uniform
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(draw(0, 0.1, leaf.shape), leaf.dtype), tree)


def encoder_of(name, options):
    options = {**options} if name == "mlp" else {**options, "convolution": "xla"}
    if name == "resnet50":  # two stages of its sort of block, to compile quickly
        return resnet("bottleneck", (1, 2), options.pop("channels"), **options)
    return vit(6, 2, **options) if name == "vit" else create_encoder(name, **options)


@functools.cache
def network(name, seed=0):
    encoder, options, side, (head, head_options) = NETWORKS[name]
    model = attach_head(encoder_of(encoder, options), create_head(head, **head_options))
    images = jax.random.normal(jax.random.key(100), (6, side, side, 3))
    params, state = jax.jit(model.init)(jax.random.key(seed), images)
    # Biases, scales and running statistics that differ between units, so that none may be left behind.
    params, state = noisy(params, seed + 1), noisy(state, seed + 2)
    return Network(model, params, state, permutation_spec(model, params, state), images)


def outputs(model):
    """Both modes in one program, which compiles faster than two."""

    @jax.jit
    def run(params, state, images):
        trained, new_state = model.apply(params, state, images, True)
        evaluated, _ = model.apply(params, state, images, False)
        return (trained.logits, evaluated.logits), new_state

    return run


def assert_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_permuting_changes_nothing_that_a_network_computes(name):
    net = network(name)
    run = outputs(net.model)
    order, params, state = net.permuted()
    expected, expected_state = run(net.params, net.state, net.images)
    found, found_state = run(params, state, net.images)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * float(jnp.abs(b).max()))
    expected_state = apply_permutation(net.spec, order, expected_state)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found_state, expected_state)


def all_equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("mlp", "encoder/linear1", "head/output/linear"),
        ("mlp, layer", "encoder/linear1", "head/bottleneck/linear"),
        ("vgg11", "encoder/stage1/conv1", "head/output/linear"),
        ("vgg11, batch", "encoder/stage1/conv1", "head/output/linear"),
        ("resnet20", "encoder/stem/conv", "head/output"),
    ],
)
def test_only_inputs_and_logits_stay_in_order_and_every_group_is_moved_by_itself(name, first, last):
    net = network(name)
    kernels = {leaf: axes[-2:] for leaf, axes in net.spec.axes.items() if len(axes) > 1}
    assert {leaf for leaf, axes in kernels.items() if None in axes} == {f"{first}/kernel", f"{last}/kernel"}
    vectors = {leaf for leaf, axes in net.spec.axes.items() if axes == (None,)}
    assert vectors <= {f"{last}/bias"}
    for group, size in net.spec.sizes.items():
        order = {**identity_permutation(net.spec), group: jnp.roll(jnp.arange(size), 1)}
        assert not all_equal(apply_permutation(net.spec, order, net.params), net.params)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_permuted_copy_is_found_to_the_bit_and_the_barrier_vanishes(name):
    net = network(name)
    _, params, state = net.permuted()
    order, info = match_weights(net.spec, net.params, params, jax.random.key(0))
    matched = apply_permutation(net.spec, order, params)
    assert info.converged
    assert_equal(matched, net.params)
    assert_equal(apply_permutation(net.spec, order, state), net.state)
    assert list(info.inner_products) == sorted(info.inner_products)
    assert info.inner_products[-1] == pytest.approx(float(dot(net.params, net.params)), rel=1e-5)


def test_the_barrier_to_a_permuted_copy_is_there_before_matching_and_exactly_zero_after():
    net = network("mlp")
    labels = jnp.array([0, 1, 2, 3, 4, 5])

    @jax.jit
    def height(start, end):
        def loss(t):
            logits = net.model.apply(linear_path(start, end)(t), net.state, net.images)[0].logits
            return losses.softmax_cross_entropy_with_labels(logits, labels)

        return barrier(jax.lax.map(loss, jnp.linspace(0, 1, 11)))

    # Far from the uniform prediction, so that mixing units up costs something.
    start = jax.tree.map(lambda leaf: 4 * leaf, net.params)
    _, permuted, _ = dataclasses.replace(net, params=start).permuted()
    order, _ = match_weights(net.spec, start, permuted, jax.random.key(0))
    assert abs(float(height(start, permuted))) > 1e-3
    assert float(height(start, apply_permutation(net.spec, order, permuted))) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "resnet20"])
def test_matching_two_networks_never_lowers_the_inner_product_and_reports_it(name):
    reference, other = network(name), network(name, seed=5)
    order, info = match_weights(reference.spec, reference.params, other.params, jax.random.key(0))
    products = np.array(info.inner_products)
    assert info.converged
    assert len(products) == info.sweeps + 1
    assert (np.diff(products) >= 0).all()
    assert products[-1] > products[0]
    np.testing.assert_allclose(products[0], dot(reference.params, other.params), rtol=1e-4)
    matched = apply_permutation(reference.spec, order, other.params)
    np.testing.assert_allclose(products[-1], dot(reference.params, matched), rtol=1e-4)
    _, once = match_weights(reference.spec, reference.params, other.params, jax.random.key(0), max_sweeps=1)
    assert once.sweeps == 1
    assert once.inner_products == info.inner_products[:2]
    assert not once.converged
    for group, size in reference.spec.sizes.items():
        assert sorted(np.asarray(order[group])) == list(range(size))


def test_one_group_is_matched_as_well_as_by_trying_every_order():
    spec = build_spec(
        {"kernel": (None, "units"), "bias": ("units",)}, {"kernel": jnp.zeros((3, 4)), "bias": jnp.zeros(4)}
    )
    draw = np.random.default_rng(0).normal
    reference, other = ({"kernel": jnp.array(draw(size=(3, 4))), "bias": jnp.array(draw(size=4))} for _ in range(2))
    _, info = match_weights(spec, reference, other, jax.random.key(0))
    best = max(
        float(dot(reference, apply_permutation(spec, {"units": jnp.array(order)}, other)))
        for order in itertools.permutations(range(4))
    )
    assert info.inner_products[-1] == pytest.approx(best, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg11, batch", "resnet50"])
def test_the_inverse_undoes_and_all_of_it_can_be_traced(name):
    net = network(name)

    @jax.jit
    def there_and_back(key):
        order = random_permutation(net.spec, key)
        there = apply_permutation(net.spec, order, net.params)
        return apply_permutation(net.spec, inverse_permutation(order), there)

    assert_equal(there_and_back(jax.random.key(3)), net.params)
    assert_equal(apply_permutation(net.spec, identity_permutation(net.spec), net.params), net.params)


def test_blocks_permute_within_each_block_whichever_way_an_image_was_flattened():
    order = np.array([2, 0, 1])
    channels_last, channels_first = np.arange(4 * 3).reshape(4, 3), np.arange(3 * 4).reshape(3, 4)
    for image, blocks, axis in [
        (channels_last, Blocks("units", outer=4), 1),
        (channels_first, Blocks("units", inner=4), 0),
    ]:
        tree = {"w": jnp.array(image.ravel())}
        spec = build_spec({"w": (blocks,)}, tree)
        assert spec.sizes == {"units": 3}
        found = apply_permutation(spec, {"units": order}, tree)["w"]
        np.testing.assert_array_equal(found, image.take(order, axis).ravel())


def test_the_residual_stream_is_one_group_from_the_stem_to_the_next_shortcut():
    net = network("resnet20")
    axes = net.spec.axes
    assert axes["encoder/stem/conv/kernel"][-1] == "encoder/stem"
    assert axes["encoder/stage1/block3/layer2/conv/kernel"][-1] == "encoder/stem"
    second = axes["encoder/stage2/block1/shortcut/conv/kernel"]
    assert second == (None, None, "encoder/stem", "encoder/stage2/block1")
    assert axes["encoder/stage2/block3/layer2/norm/mean"] == ("encoder/stage2/block1",)
    assert len(net.spec.sizes) == 3 + 9


@pytest.mark.parametrize("normalisation", ["group", "group_of_8"])
def test_groups_of_channels_are_refused(normalisation):
    model = attach_head(
        create_encoder("mlp", widths=(16,), normalisation=normalisation), create_head(*LINEAR[:1], **LINEAR[1])
    )
    params, state = model.init(jax.random.key(0), jnp.zeros((1, 2, 2, 1)))
    with pytest.raises(
        ArgumentError, match=f"normalisation '{normalisation}' after 'encoder/linear1', whose groups of"
    ):
        permutation_spec(model, params, state)


def test_a_family_that_declares_nothing_is_named_in_one_sentence():
    net = network("mlp, batch")
    own = from_linen(Mlp((12, 10), "batch", 1, "float32"))
    with pytest.raises(
        ArgumentError, match=r"model has the part of no registered family, which declares neither layer"
    ):
        permutation_spec(attach_head(own, create_head(LINEAR[0], **LINEAR[1])), net.params, net.state)


@pytest.mark.parametrize(
    ("encoder", "head", "leaf"),
    [
        ("resnet20", LINEAR, "encoder/stem/conv/kernel"),
        ("vgg11", LINEAR, "encoder/stage1/conv1/kernel"),
        ("mlp", PROJECTOR, "head/hidden1/kernel"),
    ],
)
def test_parameters_of_another_network_are_named(encoder, head, leaf):
    net = network("mlp, batch")
    other = attach_head(create_encoder(encoder), create_head(head[0], **head[1]))
    with pytest.raises(TreeError, match=f"the model declares a kernel '{leaf}' but the parameters have none"):
        permutation_spec(other, net.params, net.state)


def test_an_encoder_alone_permutes_its_embedding():
    net = network("vgg11")
    encoder = net.model.part("encoder")
    spec = permutation_spec(encoder, net.params["encoder"], {})
    last = "stage3/conv2"
    order = identity_permutation(spec) | {last: jnp.roll(jnp.arange(spec.sizes[last]), 1)}
    run = jax.jit(lambda params: encoder.apply(params, {}, net.images)[0].reshape(6, -1, spec.sizes[last]))
    found = run(apply_permutation(spec, order, net.params["encoder"]))
    np.testing.assert_allclose(found, run(net.params["encoder"])[..., order[last]], rtol=1e-5, atol=1e-6)


def test_several_heads_read_one_embedding():
    heads = {name: create_head(kind, **options) for name, (kind, options) in (("a", LINEAR), ("b", PROJECTOR))}
    model = attach_head(create_encoder("mlp", widths=(12, 10)), join_heads(heads))
    images = jax.random.normal(jax.random.key(0), (6, 4, 4, 3))
    params, state = jax.jit(model.init)(jax.random.key(1), images)
    spec = permutation_spec(model, params, state)
    assert spec.axes["head/a/output/kernel"][0] == spec.axes["head/b/hidden1/kernel"][0] == "encoder/linear2"
    run = jax.jit(lambda params: model.apply(params, state, images)[0].logits)
    permuted = apply_permutation(spec, random_permutation(spec, jax.random.key(2)), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), run(permuted), run(params))


def test_axes_that_do_not_fit_are_named():
    kernel = {"kernel": jnp.zeros((4, 6)), "bias": jnp.zeros(5)}
    for axes, sentence in [
        ({"kernel": (None,), "bias": (None,)}, r"'kernel' has shape \(4, 6\) but its spec declares 1 axes"),
        ({"kernel": (None, "a"), "bias": ("a",)}, r"the group 'a' has 6 units in 'kernel' but 5 in 'bias'"),
        ({"kernel": (Blocks("a", outer=3), None), "bias": (None,)}, r"axis of size 4, which 3 blocks do not divide"),
        ({"kernel": ("a", Blocks("a", outer=2)), "bias": (None,)}, r"'kernel' has the group 'a' along two axes"),
    ]:
        with pytest.raises(TreeError, match=sentence):
            build_spec(axes, kernel)


def test_permutations_and_trees_that_do_not_fit_are_named():
    bias = {"bias": jnp.zeros(3)}
    spec = build_spec({"bias": ("a",)}, bias)
    with pytest.raises(TreeError, match=r"the group 'a' needs a permutation of 3 units but has none; give it one"):
        apply_permutation(spec, {}, bias)
    with pytest.raises(TreeError, match=r"the group 'a' needs a permutation of 3 units but has one of shape \(2,\)"):
        apply_permutation(spec, {"a": jnp.arange(2)}, bias)
    with pytest.raises(TreeError, match=r"the permutation spec does not cover 'kernel'"):
        apply_permutation(spec, {"a": jnp.arange(3)}, {"kernel": jnp.zeros(3)})
    with pytest.raises(TreeError, match=r"'other' has shape \(4,\) at 'bias' where 'reference' has \(3,\)"):
        match_weights(spec, bias, {"bias": jnp.zeros(4)}, jax.random.key(0))
