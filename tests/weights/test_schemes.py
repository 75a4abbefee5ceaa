"""Every scheme there and back to the bit, and what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiments import same_bits

from repcon_jax.errors import ArgumentError, CheckpointError, ConfigError
from repcon_jax.models import Network, Pixels, attach_head, create_encoder, create_head
from repcon_jax.weights import (
    SCHEMES,
    assemble,
    export_tensors,
    find_scheme,
    import_network,
    select_tensors,
    without_head,
)
from repcon_jax.weights.convert import OWN

SMALL = {"resnet": {"width": 0.125, "blocks": (2, 1, 1)}, "vgg": {"width": 0.125}, "vit": {"depth": 2}}
# What is exported beside the defaults of the smallest encoder of each family: scheme -> options, and the image's side.
VARIANTS = [
    ("torchvision_resnet", {}, 32),
    ("torchvision_resnet", {"stem": "imagenet"}, 224),
    ("torchvision_vgg", {"normalisation": "none"}, 32),
    ("torchvision_vgg", {"normalisation": "batch", "fully_connected": (12, 8)}, 64),
    ("torchvision_vit", {}, 32),
    ("timm_vit", {}, 32),
    ("timm_vit", {"class_position": False, "num_registers": 3, "layer_scale": 0.1, "patch_size": 14}, 28),
    ("dino_vit", {"num_registers": 3, "layer_scale": 0.1, "patch_size": 14}, 28),
]


def random_network(name, head=None, side=32, seed=0, **options):
    """A network of which nothing is the same as another's by chance."""
    family = next(family for family in SMALL if name.startswith(family))
    head = create_head("linear", num_classes=5) if head is None else head
    model = attach_head(create_encoder(name, **SMALL[family] | options), head)
    pixels, draw = Pixels((0.5,) * 3, (0.25,) * 3, (side, side)), np.random.default_rng(seed)
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    return Network(*jax.tree.map(lambda leaf: jnp.float32(draw.uniform(0.5, 1, leaf.shape)), shapes), model, pixels)


def imported(tensors, network, **arguments):
    """A state dict read as the encoder of a network."""
    origin = network.model.part("encoder").origin
    family = next(family for family in SMALL if origin.name.startswith(family))
    options = SMALL[family] | arguments.pop("options", {})
    return import_network(tensors, origin.name, options=options, pixels=network.pixels, **arguments)


@pytest.mark.parametrize("with_head", [True, False], ids=["head", "no head"])
@pytest.mark.parametrize(("scheme", "options", "side"), VARIANTS)
def test_export_and_import_give_the_network_back_to_the_bit(scheme, options, side, with_head):
    scheme = SCHEMES.build(scheme)
    network = random_network(scheme.encoders[0], side=side, **options)
    network = network if with_head else without_head(network)
    # Of linear layers the last is the classifier, unless one says how many the encoder has.
    said = {} if with_head else {name: value for name, value in options.items() if name == "fully_connected"}
    for format in scheme.formats:
        again = imported(export_tensors(network, format), network, format=format, options=said)
        assert same_bits((again.params, again.model_state), (network.params, network.model_state))
        assert jax.tree.structure(again.params) == jax.tree.structure(network.params)
        assert again.model.part("head") == network.model.part("head")


def test_every_scheme_is_among_the_variants():
    assert {scheme for scheme, _, _ in VARIANTS} == set(SCHEMES.names())


@pytest.mark.parametrize(("scheme", "options", "side"), VARIANTS)
def test_options_that_shapes_show_are_read_from_them(scheme, options, side):
    network = random_network(SCHEMES.build(scheme).encoders[0], side=side, **options)
    format = SCHEMES.build(scheme).formats[0]
    read = dict(imported(export_tensors(network, format), network, format=format).model.part("encoder").origin.options)
    for name in options.keys() - {"layer_scale"}:
        assert read[name] == options[name]
    assert (read.get("layer_scale") is None) == (options.get("layer_scale") is None)


def test_a_scheme_is_found_by_its_names():
    for format in ("torchvision", "timm"):
        network = random_network("vit_tiny")
        tensors = export_tensors(network, format)
        assert find_scheme("vit_tiny", None, tensors).formats == (format,)
    dino = export_tensors(network, "dino") | {"mask_token": np.zeros((1, 192), np.float32)}
    assert find_scheme("vit_tiny", None, dino).formats == ("dino",)


def test_a_plain_vit_of_dino_interpolates_as_dino_did():
    network = random_network("vit_tiny")
    plain = imported(export_tensors(network, "dino"), network, format="dino").model.part("encoder").origin
    assert dict(plain.options)["position_interpolation"] == "plain"
    assert dict(plain.options)["position_offset"] == 0.1


def test_older_names_and_chunks_of_blocks_are_read():
    network = random_network("vit_tiny")
    tensors = export_tensors(network, "torchvision")
    old = {name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): t for name, t in tensors.items()}
    assert old.keys() != tensors.keys()
    chunks = {name.replace("blocks.", "blocks.0."): t for name, t in export_tensors(network, "dino").items()}
    for given, format in ((old, "torchvision"), (chunks, "dino")):
        assert same_bits(imported(given, network, format=format).params, network.params)


def test_a_vgg_is_read_without_its_linear_layers():
    network = random_network("vgg11", side=64, fully_connected=(12, 8))
    features = imported(select_tensors(export_tensors(network), ignore=("^classifier",)), network)
    assert features.model.part("head").origin.name == "identity"
    stages = {name: part for name, part in network.params["encoder"].items() if name.startswith("stage")}
    assert same_bits(features.params["encoder"], stages)


def test_half_precision_is_widened_exactly_and_counters_are_left():
    network = random_network("resnet18")
    tensors = {name: tensor.astype(np.float16) for name, tensor in export_tensors(network).items()}
    again = imported(tensors | {"bn1.num_batches_tracked": np.int64(3)}, network)
    assert same_bits(again.params["head"]["output"]["bias"], jnp.float32(tensors["fc.bias"].astype(np.float32)))
    assert {leaf.dtype for leaf in jax.tree.leaves(again.params)} == {jnp.dtype("float32")}


def test_our_own_names_hold_any_network():
    network = random_network("resnet18", create_head("projector", hidden_sizes=(4,), bottleneck_size=3, output_size=5))
    tensors = export_tensors(network, "repcon_jax")
    again = assemble(tensors, network.model, network.pixels, OWN)
    assert same_bits((again.params, again.model_state), (network.params, network.model_state))
    assert tensors["encoder.stem.conv.kernel"].shape == (3, 3, 3, 8)


def test_an_encoder_without_its_head_computes_the_embedding():
    network = random_network("vit_tiny", side=16)
    images = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 16, 16, 3)), jnp.float32)
    outputs, _ = jax.jit(without_head(network).apply)(images)
    assert same_bits(outputs.logits, outputs.embedding)
    np.testing.assert_allclose(outputs.embedding, jax.jit(network.apply)(images)[0].embedding, rtol=1e-6)


@pytest.fixture(name="resnet", scope="module")
def small_resnet():
    network = random_network("resnet18")
    return network, export_tensors(network)


def refused(tensors, network, error=CheckpointError, **arguments):
    """The one sentence with which a state dict is refused."""
    with pytest.raises(error) as refusal:
        imported(tensors, network, **arguments)
    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_missing_tensor_is_named_with_the_nearest_name_that_is_there(resnet):
    network, tensors = resnet
    renamed = {name.replace("layer1.1.conv2", "layer1.1.conv_2"): tensor for name, tensor in tensors.items()}
    sentence = refused(renamed, network)
    assert sentence.startswith("the file lacks the tensor 'layer1.1.conv2.weight'; did you mean its 'layer1.1.conv_2.w")
    several = {name: tensor for name, tensor in tensors.items() if not name.startswith("layer2.0.")}
    assert refused(several, network).startswith("the file lacks the tensor 'layer2.0.")
    assert "and 14 more" in refused(several, network)


def test_a_surplus_tensor_is_named_and_can_be_ignored(resnet):
    network, tensors = resnet
    more = tensors | {"layer1.2.conv1.weight": np.zeros(3, np.float32), "projection": np.zeros(3, np.float32)}
    sentence = refused(more, network)
    assert sentence.startswith("the file has a tensor 'layer1.2.conv1.weight' and 1 more that has no place in the net")
    assert "the nearest name that has one is 'layer1.1.conv1.weight'" in sentence
    again = imported(select_tensors(more, ignore=("^layer1.2", "^projection$")), network)
    assert same_bits(again.params, network.params)


def test_a_misshapen_tensor_is_named_with_both_shapes(resnet):
    network, tensors = resnet
    sentence = refused(tensors, network, options={"width": 0.25})
    assert sentence.startswith("tensor 'layer1.0.conv1.weight' of the file has the shape (8, 8, 3, 3) but must")
    grey = tensors | {"conv1.weight": tensors["conv1.weight"][:, :1]}
    assert "(8, 1, 3, 3) but must have (8, 3, 3, 3)" in refused(grey, network)


def test_names_of_another_family_are_refused_with_what_is_there(resnet):
    network, tensors = resnet
    prefixed = {f"module.{name}": tensor for name, tensor in tensors.items()}
    sentence = refused(prefixed, network, ArgumentError)
    assert "file has no names of resnet18 in the formats torchvision, timm but such as module.bn1.bias" in sentence
    assert same_bits(imported(select_tensors(prefixed, "module."), network).params, network.params)
    assert refused({"conv1.bias": np.zeros(1), "layer1.x": np.zeros(1)}, network).startswith(
        "the file lacks the tensor 'conv1.weight', which resnet18 has in the format torchvision"
    )
    with pytest.raises(ArgumentError, match="prefix is 'modul_' but the file has no tensor of such a name, only "):
        select_tensors(prefixed, "modul_")
    with pytest.raises(ArgumentError, match=r"ignore is '\(', which is no regular expression"):
        select_tensors(prefixed, ignore=("(",))


def test_positions_of_no_square_grid_are_refused():
    network = random_network("vit_tiny")
    tensors = export_tensors(network, "timm")
    tensors["pos_embed"] = tensors["pos_embed"][:, :8]
    assert refused(tensors, network).startswith("tensor 'pos_embed' has 8 entries but must have one for each patch of")


def test_images_that_do_not_fit_are_refused():
    network = random_network("vgg11", side=64, fully_connected=(8,))
    tensors = export_tensors(network)
    other = network.replace(pixels=Pixels((0.5,) * 3, (0.25,) * 3, (32, 32)))
    assert "'classifier.0.weight' of the file has the shape (8, 256) but must have (8, 64)" in refused(tensors, other)
    vit = random_network("vit_tiny")
    other = vit.replace(pixels=Pixels((0.5,) * 3, (0.25,) * 3, (30, 30)))
    sentence = refused(export_tensors(vit, "timm"), other, ArgumentError)
    assert "patch_size is 8 but must divide the image's 30x30" in sentence
    with pytest.raises(ValueError, match="images have 2 channels but the network takes 3"):
        vit.apply(jnp.zeros((1, 32, 32, 2)))


def test_encoders_formats_and_options_that_do_not_exist_are_refused(resnet):
    _, tensors = resnet
    with pytest.raises(ArgumentError, match=r"encoder is 'mlp', for which there is no scheme; .*one of: resnet18"):
        import_network(tensors, "mlp")
    with pytest.raises(ArgumentError, match="format is 'timn', which has no resnet18; did you mean 'timm'"):
        import_network(tensors, "resnet18", format="timn")
    with pytest.raises(ConfigError, match=r"encoder\.widht is not an option of 'resnet18'; did you mean 'width'"):
        import_network(tensors, "resnet18", options={"widht": 1.0})


@pytest.mark.parametrize(
    ("options", "head", "message"),
    [
        (
            {"normalisation": "group"},
            None,
            r"encoder\.normalisation is 'group' but torchvision knows 'batch'; export in",
        ),
        ({}, create_head("projector"), "head is 'projector' but torchvision knows only a linear classifier; leave it"),
    ],
    ids=["normalisation", "head"],
)
def test_what_a_format_cannot_say_is_refused(options, head, message):
    small = {"width": 0.125, "blocks": (1,)}
    model = attach_head(create_encoder("resnet18", **small | options), head or create_head("linear", num_classes=2))
    with pytest.raises(ArgumentError, match=message):
        export_tensors(Network({}, {}, model))
