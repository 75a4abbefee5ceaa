"""Encoders: Table 5's parameter counts, forward passes written again from the papers, and identities."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import optimised
from jax import lax
from scipy.special import erf

from repcon_jax.errors import ConfigError
from repcon_jax.models import ENCODERS, create_encoder, embedding_size, parameter_count
from repcon_jax.models.encoders.resnet import resnet
from repcon_jax.models.encoders.vit import vit
from repcon_jax.models.normalisation import Normalisation
from repcon_jax.models.positions import interpolate_positions

KEY = jax.random.key(0)
IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 16, 3)), jnp.float32)
TIED = {"tied": True, "patch_size": 16}
TABLE_5 = {
    "vgg11": ({}, 9_220_480),
    "vgg13": ({}, 9_404_992),
    "vgg16": ({}, 14_714_688),
    "vgg19": ({}, 20_024_384),
    "resnet20": ({}, 271_824),
    "resnet56": ({}, 855_120),
    "resnet18": ({}, 11_168_832),
    "resnet34": ({}, 21_276_992),
    "resnet50": ({}, 23_500_352),
    "vit_tiny": (TIED, 594_048),
    "vit_small": (TIED, 2_072_832),
    "vit_medium": (TIED, 3_550_208),
    "vit_base": (TIED, 7_684_608),
}


def _shapes(name, image_shape=(32, 32, 3), **options):
    encoder = create_encoder(name, **options)
    return jax.eval_shape(encoder.init, KEY, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))


def _run(encoder, images):
    """Parameters drawn at random everywhere, biases and scales too, and the embedding for them."""
    draw = np.random.default_rng(1)
    params, state = jax.tree.map(
        lambda leaf: jnp.asarray(draw.uniform(0.1, 0.4, leaf.shape) * draw.choice([-1, 1], leaf.shape), jnp.float32),
        jax.eval_shape(encoder.init, KEY, images),
    )
    state = jax.tree.map(jnp.abs, state)
    return params, state, jax.jit(encoder.apply)(params, state, images)[0]


@pytest.mark.parametrize("name", TABLE_5)
def test_parameter_counts_are_those_of_table_5(name):
    options, count = TABLE_5[name]
    assert parameter_count(_shapes(name, **options)[0]) == count


@pytest.mark.parametrize(("options", "count"), [({}, 5_379_264), ({"tied": True}, 485_760)])
def test_vit_tiny_counts_at_patch_size_8(options, count):
    assert parameter_count(_shapes("vit_tiny", **options)[0]) == count


@pytest.mark.parametrize(
    ("name", "size"), [("vgg19", 512), ("resnet18", 512), ("resnet50", 2048), ("resnet56", 64), ("vit_base", 768)]
)
def test_embedding_sizes(name, size):
    assert embedding_size(create_encoder(name), (32, 32, 3)) == size


@pytest.mark.parametrize("normalisation", Normalisation.__args__)
@pytest.mark.parametrize("name", ["vgg11", "resnet20", "convnet"])
def test_every_normalisation_builds(name, normalisation):
    params, state = _shapes(name, normalisation=normalisation)
    assert bool(jax.tree.leaves(state)) == (normalisation == "batch")
    plain = parameter_count(_shapes(name, normalisation="none")[0])
    assert (parameter_count(params) > plain) == (normalisation != "none")


def _conv(x, layer, stride=1):
    kernel = layer["kernel"]
    pad = [(kernel.shape[0] // 2, kernel.shape[0] // 2)] * 2
    out = lax.conv_general_dilated(x, kernel, (stride, stride), pad, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return out + layer.get("bias", 0)


def _pool(x, window, pad):
    around = ((0, 0), (pad, pad), (pad, pad), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, 2, 2, 1), around)


def _norm(x, layer, state):
    return (x - state["mean"]) / np.sqrt(state["var"] + 1e-5) * layer["scale"] + layer["bias"]


def test_vgg_equals_its_table():
    params, state, embedding = _run(create_encoder("vgg11", width=4 / 64, num_stages=3, normalisation="batch"), IMAGES)
    x = IMAGES
    for stage, depth in enumerate((1, 1, 2), 1):
        layers, stats = params[f"stage{stage}"], state[f"stage{stage}"]
        for i in range(1, depth + 1):
            x = jnp.maximum(_norm(_conv(x, layers[f"conv{i}"]), layers[f"norm{i}"], stats[f"norm{i}"]), 0)
        x = _pool(x, 2, 0)
    np.testing.assert_allclose(embedding, x.reshape(2, -1), rtol=1e-3, atol=1e-3 * np.abs(x).max())


@pytest.mark.parametrize(("kind", "kernels"), [("basic", (3, 3)), ("bottleneck", (1, 3, 1))])
def test_resnet_equals_its_definition(kind, kernels):
    encoder = resnet(kind, (1, 2), 8, stem="imagenet", normalisation="batch")
    params, state, embedding = _run(encoder, IMAGES)

    def conv_norm(x, layer, stats, stride=1):
        return _norm(_conv(x, layer["conv"], stride), layer["norm"], stats["norm"])

    def block(x, layers, stats, stride):
        shortcut = conv_norm(x, layers["shortcut"], stats["shortcut"], stride) if "shortcut" in layers else x
        for i, kernel in enumerate(kernels, 1):
            assert layers[f"layer{i}"]["conv"]["kernel"].shape[:2] == (kernel, kernel)
            # The stride is on the first 3x3 convolution, as in torchvision.
            step = stride if i == kernels.index(3) + 1 else 1
            x = conv_norm(x, layers[f"layer{i}"], stats[f"layer{i}"], step)
            x = jnp.maximum(x, 0) if i < len(kernels) else x
        return jnp.maximum(x + shortcut, 0)

    x = _pool(jnp.maximum(conv_norm(IMAGES, params["stem"], state["stem"], 2), 0), 3, 1)
    for stage, name, stride in (("stage1", "block1", 1), ("stage2", "block1", 2), ("stage2", "block2", 1)):
        x = block(x, params[stage][name], state[stage][name], stride)
    expected = x.mean((1, 2))
    np.testing.assert_allclose(embedding, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    # A projection stands where the shape changes and nowhere else: a basic block keeps it in the first stage.
    assert ("shortcut" in params["stage1"]["block1"]) == (kind == "bottleneck")
    assert "shortcut" in params["stage2"]["block1"]
    assert "shortcut" not in params["stage2"]["block2"]


def test_mlp_equals_its_formula():
    params, _, embedding = _run(create_encoder("mlp", widths=(5, 4)), IMAGES[:, :2, :2])
    x = IMAGES[:, :2, :2].reshape(2, -1)
    for layer in ("linear1", "linear2"):
        x = np.asarray(x @ params[layer]["kernel"] + params[layer]["bias"])
        x = x * 0.5 * (1 + erf(x / np.sqrt(2)))
    np.testing.assert_allclose(embedding, x, rtol=1e-4, atol=1e-5)


def test_fresh_vgg_is_positively_homogeneous_because_its_biases_are_zero():
    encoder = create_encoder("vgg11", num_stages=2, width=0.125)
    params, state = jax.jit(encoder.init)(KEY, IMAGES)
    apply = jax.jit(encoder.apply)
    once, thrice = (apply(params, state, factor * IMAGES)[0] for factor in (1, 3))
    np.testing.assert_allclose(thrice, 3 * once, rtol=1e-3, atol=1e-4 * np.abs(thrice).max())


@pytest.fixture(scope="module", name="vit")
def small_vit():
    encoder = create_encoder("vit_tiny", depth=2)
    params, state = jax.jit(encoder.init)(KEY, IMAGES)
    # Tokens of the size of the patches, so that what they do to the embedding is seen.
    params = params | {name: 50 * params[name] for name in ("class_token", "position")}
    return params, jax.jit(lambda p, x: encoder.apply(p, state, x, False, True)[2])


def test_vit_sees_the_order_of_patches_through_positions_only(vit):
    params, features = vit
    patches = IMAGES.reshape(2, 2, 8, 2, 8, 3)
    reversed_patches = patches[:, ::-1, :, ::-1].reshape(IMAGES.shape)
    plain = params | {"position": 0 * params["position"]}

    def embed(p, x):
        return np.asarray(features(p, x)["embedding"])

    np.testing.assert_allclose(embed(plain, IMAGES), embed(plain, reversed_patches), atol=1e-4)
    assert np.abs(embed(params, IMAGES) - embed(params, reversed_patches)).max() > 1e-3
    # Attention joins tokens: the class token, the only one that is read, sees the image.
    assert np.abs(embed(plain, IMAGES) - embed(plain, IMAGES[::-1])).max() > 1e-3


def test_tied_vit_equals_an_untied_one_with_equal_blocks(vit):
    params, features = vit
    equal = params | {"block2": params["block1"]}
    tied = {key: value for key, value in params.items() if key not in ("block1", "block2")}
    tied["block"] = params["block1"]
    encoder = create_encoder("vit_tiny", depth=2, tied=True)
    embedding, _ = jax.jit(encoder.apply)(tied, {}, IMAGES)
    np.testing.assert_allclose(embedding, features(equal, IMAGES)["embedding"], atol=1e-5)


def test_vit_block_equals_its_formula(vit):
    params, features = vit[0], vit[1](vit[0], IMAGES)
    block, x = jax.tree.map(np.asarray, params["block1"]), np.asarray(features["tokens"])

    def norm(x, layer):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * layer["scale"] + layer[
            "bias"
        ]

    def linear(x, layer):
        return x @ layer["kernel"] + layer["bias"]

    joined = linear(norm(x, block["norm1"]), block["attention"]["query_key_value"]).reshape(2, 5, 3, 3, 64)
    query, key, value = joined[:, :, 0], joined[:, :, 1], joined[:, :, 2]
    weights = np.exp(np.einsum("bthd,bshd->bhts", query, key) / np.sqrt(64))
    weights /= weights.sum(-1, keepdims=True)
    attended = np.einsum("bhts,bshd->bthd", weights, value).reshape(x.shape)
    x = x + linear(attended, block["attention"]["output"])
    hidden = linear(norm(x, block["norm2"]), block["hidden"])
    x = x + linear(hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))), block["output"])
    np.testing.assert_allclose(features["block1"], x, rtol=1e-3, atol=1e-4)


def test_registers_and_layer_scale_enter_as_their_papers_say(vit):
    params, features = vit
    encoder = create_encoder("vit_tiny", depth=2, num_registers=3, layer_scale=0.0)
    drawn, _ = jax.jit(encoder.init)(KEY, IMAGES)
    assert drawn["registers"].shape == (1, 3, 192)
    run = jax.jit(lambda params: encoder.apply(params, {}, IMAGES, False, True)[2])
    # A block whose factors are zero adds nothing, and registers stand behind the class token without a position.
    found, plain = run(drawn), features(drawn, IMAGES)
    np.testing.assert_array_equal(found["tokens"][:, [0, *range(4, 8)]], plain["tokens"])
    np.testing.assert_array_equal(found["tokens"][:, 1:4], jnp.broadcast_to(drawn["registers"], (2, 3, 192)))
    np.testing.assert_array_equal(found["block2"], found["tokens"])
    # Factors of one change nothing.
    scaled = create_encoder("vit_tiny", depth=2, layer_scale=1.0)
    ones = {"scale1": jnp.ones(192), "scale2": jnp.ones(192)}
    ones = params | {name: params[name] | ones for name in ("block1", "block2")}
    found = jax.jit(scaled.apply)(ones, {}, IMAGES)[0]
    np.testing.assert_allclose(found, features(params, IMAGES)["embedding"], rtol=1e-5, atol=1e-5)


def test_positions_that_are_kept_for_one_size_are_interpolated_for_others(vit):
    params, features = vit
    encoder = create_encoder("vit_tiny", depth=2, position_size=16)
    run = jax.jit(lambda images: encoder.apply(params, {}, images, False, True)[2])
    np.testing.assert_array_equal(run(IMAGES)["embedding"], features(params, IMAGES)["embedding"])
    # All tokens of an image without content are the bias, and what is left are positions.
    large = run(jnp.zeros((1, 24, 32, 3)))["tokens"][0, 1:] - params["patches"]["bias"]
    expected = interpolate_positions(params["position"][0, 1:].reshape(2, 2, 192), (3, 4)).reshape(12, 192)
    np.testing.assert_allclose(large, expected, rtol=1e-5, atol=1e-5)
    shapes = jax.eval_shape(encoder.init, KEY, jnp.zeros((1, 48, 48, 3)))[0]
    assert shapes["position"].shape == (1, 5, 192)


def test_a_class_token_without_a_position_is_one_whose_position_is_zero(vit):
    params, features = vit
    encoder = create_encoder("vit_tiny", depth=2, class_position=False)
    zero = params | {"position": params["position"].at[:, 0].set(0)}
    without = params | {"position": params["position"][:, 1:]}
    found = jax.jit(encoder.apply)(without, {}, IMAGES)[0]
    np.testing.assert_array_equal(found, features(zero, IMAGES)["embedding"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"position_size": 20}, r"position_size is 20 but must be a multiple of patch_size, 8"),
        ({"position_size": 4}, r"position_size is 4 but must be a multiple of patch_size, 8"),
        ({"num_registers": -1}, r"num_registers is -1 but must lie in \[0"),
    ],
)
def test_options_of_a_vit_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        create_encoder("vit_tiny", **options)


def test_linear_layers_of_a_vgg_follow_what_was_flattened():
    options = {"width": 4 / 64, "num_stages": 3}
    params, state, embedding = _run(create_encoder("vgg11", **options, fully_connected=(6, 5)), IMAGES)
    x = jax.jit(create_encoder("vgg11", **options).apply)(params, state, IMAGES)[0]
    for layer in ("linear1", "linear2"):
        x = np.maximum(x @ params[layer]["kernel"] + params[layer]["bias"], 0)
    np.testing.assert_allclose(embedding, x, rtol=1e-4, atol=1e-4 * np.abs(x).max())
    with pytest.raises(ConfigError, match="fully_connected is 0 but must lie in"):
        create_encoder("vgg11", fully_connected=(6, 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        partial(create_encoder, "vgg13", width=0.125, num_stages=2, normalisation="batch"),
        partial(create_encoder, "convnet", width=0.125, num_stages=2, normalisation="batch"),
        partial(vit, 32, 2, depth=2, patch_size=4),
        partial(resnet, "basic", (1, 2), 8),
    ],
    ids=["vgg", "convnet", "vit", "resnet"],
)
def test_rematerialisation_saves_memory_and_changes_nothing_else(build, monkeypatch):
    # A transformer has barriers of its own on a CPU.
    monkeypatch.setattr("repcon_jax.models.encoders.vit.materialised", lambda x: x)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(16, 16, 16, 3)), jnp.float32)
    draw, variables, found = np.random.default_rng(1), None, []
    for rematerialise in (False, True):
        encoder = build(convolution="xla", rematerialise=rematerialise)
        shapes = jax.eval_shape(encoder.init, KEY, images)
        if variables is None:
            variables = jax.tree.map(lambda leaf: jnp.asarray(draw.normal(0, 0.1, leaf.shape), jnp.float32), shapes)
        assert jax.tree.structure(shapes) == jax.tree.structure(variables)

        def loss(params, state, encoder=encoder):
            embedding, state = encoder.apply(params, state, images, True)
            return jnp.sum(embedding**2), state

        program = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(*variables)
        assert ("optimization_barrier" in program.as_text()) == rematerialise
        with optimised():
            gradient = program.compile()
        found.append((gradient(*variables), gradient.memory_analysis().temp_size_in_bytes))
    (plain, more), (again, less) = found
    # Some gradients are zero but for rounding, such as those of biases before batch norm.
    scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(plain[1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * scale), again, plain)
    # XLA's CPU compiler heeds the barrier from JAX 0.11 on; before, it merges the second computation with the first.
    if jax.__version_info__ >= (0, 11):
        assert less < 0.9 * more


def test_options_are_listed_with_their_defaults():
    assert ENCODERS.options("vgg11")["normalisation"] == "none"
    assert ENCODERS.options("resnet18") | {"normalisation": "batch", "stem": "cifar"} == ENCODERS.options("resnet18")
