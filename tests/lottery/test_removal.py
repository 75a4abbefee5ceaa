"""Networks without their dead units compute the same logits with fewer parameters."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ArgumentError, TreeError
from repcon_jax.lottery.removal import remove_dead_units, take_units
from repcon_jax.lottery.widths import with_any_widths
from repcon_jax.models import attach_head, create_encoder, create_head, parameter_count
from repcon_jax.models.encoders.resnet import resnet
from repcon_jax.models.encoders.vit import vit
from repcon_jax.symmetry import permutation_spec
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import ModelState, Params

LINEAR = ("linear", {"num_classes": 3})
PROJECTOR = ("projector", {"hidden_sizes": (9, 8), "bottleneck_size": 5, "output_size": 7})
PLAIN = ("projector", {"hidden_sizes": (9,), "bottleneck_size": 6, "output_size": 4, "weight_normalisation": False})

# name of the encoder, its options, side of the images, head
NETWORKS = {
    "mlp": ("mlp", {"widths": (12, 10)}, 4, PLAIN),
    "mlp, batch": ("mlp", {"widths": (12, 10), "normalisation": "batch"}, 4, PROJECTOR),
    "vgg11": ("vgg11", {"width": 0.1, "num_stages": 3}, 16, LINEAR),
    "vgg11, batch": ("vgg11", {"width": 0.1, "num_stages": 3, "normalisation": "batch"}, 16, PROJECTOR),
    "resnet20": ("resnet20", {}, 8, LINEAR),
    "resnet50": ("resnet50", {}, 8, PROJECTOR),
    "resnet50, none": ("resnet50", {"normalisation": "none"}, 8, LINEAR),
}


@dataclasses.dataclass(frozen=True)
class Network:
    model: object
    params: Params
    state: ModelState
    spec: object
    images: jax.Array

    def remove(self, params, mask=None):
        return remove_dead_units(self.model, params, self.state, mask=mask)


def encoder_of(name, options):
    if not name.startswith("resnet"):
        return create_encoder(name, **options, **({} if name == "mlp" else {"convolution": "xla"}))
    kind, depths = ("basic", (1, 2)) if name == "resnet20" else ("bottleneck", (2,))
    return resnet(kind, depths, 6 if kind == "basic" else 3, convolution="xla", **options)


@functools.cache
def network(name):
    encoder, options, side, (head, head_options) = NETWORKS[name]
    model = attach_head(encoder_of(encoder, options), create_head(head, **head_options))
    images = jax.random.normal(jax.random.key(0), (4, side, side, 3))
    draw = np.random.default_rng(0)

    def positive(path, leaf):
        return draw.uniform(0.5, 1.5, leaf.shape).astype(np.float32)

    def signed(path, leaf):
        fan_in = np.prod(leaf.shape[:-1]) if path.endswith("kernel") else 4
        return (draw.normal(size=leaf.shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    shapes, state_shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    params, state = map_named(signed, shapes), map_named(positive, state_shapes)
    return Network(model, params, state, permutation_spec(model, params, state), images)


def logits(model, params, state, images):
    return jax.jit(model.apply)(params, state, images)[0].logits


@functools.cache
def compiled(name):
    return jax.jit(network(name).model.apply)


def written(net, group, path):
    return net.spec.axes[path][-1] == group


def read(net, group, path):
    axes = net.spec.axes[path]
    return len(axes) > 1 and getattr(axes[-2], "group", axes[-2]) == group


def mask_units(net, units, leaf_of):
    """A mask that is False at the given units of each group, along the axis of each leaf that ``leaf_of`` picks."""

    def mask(path, leaf):
        kept = np.ones(leaf.shape, bool)
        for group, chosen in units.items():
            if leaf_of(net, group, path):
                number = -1 if written(net, group, path) else -2
                size = net.spec.sizes[group]
                # A flattened image has its channels last, so they repeat along the axis.
                index = np.isin(np.arange(leaf.shape[number]) % size, list(chosen))
                np.moveaxis(kept, number, 0)[index] = False
        return kept

    return map_named(mask, net.params)


def some_units(net):
    draw = np.random.default_rng(1)
    return {group: draw.choice(size, size // 2, replace=False) for group, size in net.spec.sizes.items()}


def assert_same_logits(net, name, params, smaller):
    expected = compiled(name)(params, net.state, net.images)[0].logits
    found = logits(with_any_widths(net.model), smaller.params, smaller.model_state, net.images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(jnp.abs(expected).max()))


def masked(params, mask):
    return jax.tree.map(lambda leaf, kept: np.where(kept, leaf, np.float32(0)), params, mask)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "resnet50, none"])
def test_pruned_units_go_and_the_logits_stay(name):
    net = network(name)
    units = some_units(net)
    # Kernels both ways, since a column of the projector's last layer has norm one whatever its inputs do.
    mask = mask_units(net, units, lambda *place: written(*place) or read(*place))
    smaller = net.remove(net.params, mask)
    assert {group: set(np.flatnonzero(~kept)) for group, kept in smaller.kept.items()} == {
        group: set(chosen) for group, chosen in units.items()
    }
    assert smaller.parameters_before == parameter_count(net.params)
    assert smaller.parameters_after == parameter_count(smaller.params) < 0.5 * smaller.parameters_before
    assert_same_logits(net, name, masked(net.params, mask), smaller)
    kept = take_units(smaller.spec, smaller.kept, mask)
    assert all(leaf.all() for leaf in jax.tree.leaves(kept))
    assert jax.tree.map(jnp.shape, kept) == jax.tree.map(jnp.shape, smaller.params)


@pytest.mark.parametrize("name", ["mlp", "vgg11, batch", "resnet20"])
def test_either_side_of_a_unit_is_enough(name):
    net = network(name)
    for side in (written, read):
        units = {g: chosen for g, chosen in some_units(net).items() if g != "head/bottleneck/linear"}
        smaller = net.remove(net.params, mask_units(net, units, side))
        for group, chosen in units.items():
            assert set(np.flatnonzero(~smaller.kept[group])) == set(chosen), group


def zero_kernels(params, paths, units):
    def zero(path, leaf):
        return np.where(np.isin(np.arange(leaf.shape[-1]), list(units)), 0, leaf) if path in paths else leaf

    return map_named(zero, params)


@pytest.mark.parametrize(
    ("name", "layer", "folds"),
    [
        ("mlp", "encoder/linear1", True),
        ("mlp", "head/bottleneck/linear", False),
        ("mlp, batch", "encoder/linear1", True),
        ("vgg11", "encoder/stage1/conv1", False),
        ("vgg11", "encoder/stage3/conv2", True),
        ("vgg11, batch", "encoder/stage1/conv1", False),
        ("resnet50", "encoder/stage1/block1/layer2", True),
        ("resnet50, none", "encoder/stage1/block2/layer2", True),
    ],
)
def test_constants_fold_into_what_reads_them_unless_padding_or_a_norm_forbids_it(name, layer, folds):
    net = network(name)
    size = net.spec.sizes[layer]
    paths = {f"{layer}/kernel", f"{layer}/conv/kernel"}
    params = zero_kernels(net.params, paths, range(size // 2))
    # Above zero after the activation.
    params = map_named(lambda path, leaf: np.abs(leaf) if path.endswith("bias") else leaf, params)
    smaller = net.remove(params)
    assert smaller.kept[layer].sum() == (size - size // 2 if folds else size)
    if folds:
        assert_same_logits(net, name, params, smaller)
    else:
        jax.tree.map(np.testing.assert_array_equal, smaller.params, params)


def test_a_scale_of_zero_is_a_constant_whatever_the_kernel():
    net = network("resnet50")
    units = {"encoder/stage1/block1/layer2": [1]}
    mask = mask_units(net, units, lambda net, group, path: path.endswith("scale") and written(net, group, path))
    smaller = net.remove(net.params, mask)
    assert np.flatnonzero(~smaller.kept["encoder/stage1/block1/layer2"]).tolist() == [1]
    assert_same_logits(net, "resnet50", masked(net.params, mask), smaller)


def test_channels_of_a_residual_stream_stay_while_one_layer_writes_and_one_reads_them():
    net = network("resnet20")
    stream = "encoder/stem"
    writers = [path for path, axes in net.spec.axes.items() if path.endswith("kernel") and axes[-1] == stream]
    assert len(writers) == 2
    whole = mask_units(net, {stream: [0]}, written)

    def without(mask, paths):
        return map_named(lambda path, leaf: np.ones_like(leaf) if path.startswith(paths) else leaf, mask)

    assert not net.remove(net.params, whole).kept[stream][0]
    for path in writers:
        layer = path.removesuffix("/conv/kernel")
        assert net.remove(net.params, without(whole, layer)).kept[stream].all()


def test_a_projection_between_streams_that_shrink_to_one_size_stays():
    net = network("resnet50")
    stem, stream = "encoder/stem", "encoder/stage1/block1"
    units = {stream: range(net.spec.sizes[stem], net.spec.sizes[stream])}
    mask = mask_units(net, units, lambda *place: written(*place) or read(*place))
    smaller = net.remove(net.params, mask)
    assert smaller.kept[stream].sum() == smaller.kept[stem].sum()
    assert_same_logits(net, "resnet50", masked(net.params, mask), smaller)


def test_what_only_dead_units_read_goes_too_but_one_unit_of_a_layer_stays():
    net = network("mlp")
    mask = map_named(lambda path, leaf: np.full(leaf.shape, path != "head/bottleneck/linear/kernel"), net.params)
    smaller = net.remove(net.params, mask)
    assert {int(kept.sum()) for group, kept in smaller.kept.items() if group != "head/bottleneck/linear"} == {1}
    assert smaller.kept["head/bottleneck/linear"].all()
    assert_same_logits(net, "mlp", masked(net.params, mask), smaller)


def test_a_division_by_norms_keeps_units_that_are_only_unread_or_only_zero():
    net = network("mlp, batch")
    group = "head/bottleneck/linear"
    plain = create_head(PROJECTOR[0], **PROJECTOR[1], weight_normalisation=False)
    plain = dataclasses.replace(net, model=attach_head(net.model.part("encoder"), plain))
    for network_, side in [(net, read), (net, written), (plain, read)]:
        assert network_.remove(net.params, mask_units(net, {group: [0, 3]}, side)).kept[group].all()
    smaller = plain.remove(net.params, mask_units(net, {group: [0, 3]}, written))
    assert np.flatnonzero(~smaller.kept[group]).tolist() == [0, 3]


def test_a_whole_network_loses_nothing_and_widths_of_its_own_change_nothing():
    net = network("vgg11")
    smaller = net.remove(net.params)
    jax.tree.map(np.testing.assert_array_equal, (smaller.params, smaller.model_state), (net.params, net.state))
    assert smaller.parameters_before == smaller.parameters_after
    assert with_any_widths(net.model) == with_any_widths(net.model)
    assert hash(with_any_widths(net.model)) == hash(with_any_widths(net.model))


def test_a_transformer_loses_hidden_units_but_no_component_of_its_tokens():
    model = attach_head(vit(6, 2, depth=2, patch_size=4), create_head(LINEAR[0], **LINEAR[1]))
    images = jax.random.normal(jax.random.key(0), (4, 8, 8, 3))
    params, state = jax.jit(model.init)(jax.random.key(1), images)
    params["encoder"]["block1"]["hidden"]["kernel"] = params["encoder"]["block1"]["hidden"]["kernel"].at[:, :5].set(0)
    params["encoder"]["block1"]["hidden"]["bias"] = params["encoder"]["block1"]["hidden"]["bias"].at[:5].set(1)
    params["encoder"]["block1"]["output"]["kernel"] = params["encoder"]["block1"]["output"]["kernel"].at[:, 2].set(0)
    smaller = remove_dead_units(model, params, state)
    assert smaller.kept["encoder/block1/hidden"].sum() == 24 - 5
    assert smaller.kept["encoder/tokens"].all()
    found, expected = (
        logits(with_any_widths(model), smaller.params, state, images),
        logits(model, params, state, images),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_encoder_alone_keeps_its_embedding():
    net = network("mlp")
    encoder = net.model.part("encoder")
    params = jax.tree.map(lambda leaf: jnp.zeros_like(leaf), net.params["encoder"])
    smaller = remove_dead_units(encoder, params, {})
    assert {name: int(kept.sum()) for name, kept in smaller.kept.items()} == {"linear1": 1, "linear2": 10}


def test_a_smaller_network_trains():
    net = network("mlp, batch")
    smaller = net.remove(net.params, mask_units(net, some_units(net), lambda *p: written(*p) or read(*p)))
    model = with_any_widths(net.model)

    @jax.jit
    def gradients(params):
        def loss(params):
            outputs, state = model.apply(params, smaller.model_state, net.images, True)
            return jnp.sum(outputs.logits**2), state

        return jax.grad(loss, has_aux=True)(params)

    found, state = gradients(smaller.params)
    assert all(jnp.any(leaf != 0) for name, leaf in named_leaves(found).items() if name.endswith("kernel"))
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, smaller.model_state)
    assert not np.array_equal(state["encoder"]["norm1"]["mean"], smaller.model_state["encoder"]["norm1"]["mean"])


def test_what_cannot_be_removed_is_named():
    net = network("mlp")
    for normalisation in ("layer", "group"):
        other = create_encoder("mlp", widths=(12, 10), normalisation=normalisation)
        with pytest.raises(ArgumentError, match=f"normalisation '{normalisation}' after 'encoder/linear1', whose stat"):
            remove_dead_units(attach_head(other, net.model.part("head")), net.params, net.state)
    other = attach_head(create_encoder("vgg11"), net.model.part("head"))
    with pytest.raises(
        TreeError, match=r"the model declares a kernel 'encoder/stage1/conv1/kernel' but the parameters"
    ):
        remove_dead_units(other, net.params, net.state)
    with pytest.raises(TreeError, match=r"the spec of the units does not cover 'other'; take a tree of the whole netw"):
        take_units(net.spec, {}, {"other": jnp.zeros(3)})
    with pytest.raises(TreeError, match=r"'mask' has nothing at 'encoder/linear1/bias' where 'params' has \(12,\)"):
        net.remove(net.params, {})
    kept = {"encoder/linear1": np.ones(5, bool)}
    with pytest.raises(TreeError, match=r"'encoder/linear1/bias' has 12 units where 5 were expected; take a tree"):
        take_units(net.spec, kept, net.params)
