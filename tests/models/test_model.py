"""The seam: pure functions of nested dicts, hashable models, heads attached, input checked before compilation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ArgumentError, ConfigError, DataError
from repcon_jax.models import (
    ENCODERS,
    HEADS,
    attach_head,
    check_input,
    create_encoder,
    create_head,
    embedding_size,
    parameter_count,
)
from repcon_jax.models.encoders.resnet import resnet

IMAGES = jax.random.normal(jax.random.key(7), (4, 8, 8, 3))
TINY = {"width": 0.0625, "num_stages": 2}
KEY = jax.random.key(0)


def _network(**options):
    encoder = create_encoder("convnet", **(TINY | options))
    return attach_head(encoder, create_head("projector", hidden_sizes=(4,), bottleneck_size=3, output_size=6))


@pytest.fixture(scope="module")
def network():
    """A small network with batch norm, its fresh parameters and its fresh model state."""
    model = _network(normalisation="batch")
    return model, *jax.jit(model.init)(KEY, IMAGES)


def test_equal_options_give_equal_models_so_that_jit_compiles_once():
    traces = []

    @jax.jit
    def embed(x):
        return x

    def size(model, x):
        traces.append(1)
        return x.sum() * embedding_size(model, (8, 8, 3))

    compiled = jax.jit(size, static_argnums=0)
    for _ in range(2):
        compiled(create_encoder("convnet", **TINY), embed(IMAGES))
    assert len(traces) == 1
    assert _network() == _network()
    assert hash(_network()) == hash(_network())
    assert _network() != _network(normalisation="batch")


def test_init_is_the_same_abstractly_and_compiled_and_depends_on_shapes_alone(network):
    model, *compiled = network
    compiled = tuple(compiled)
    abstract = jax.eval_shape(model.init, KEY, IMAGES)
    assert jax.tree.structure(abstract) == jax.tree.structure(compiled)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a.shape, b.shape), abstract, compiled)
    jax.tree.map(np.testing.assert_array_equal, compiled, jax.jit(model.init)(KEY, IMAGES[:1] * 0))
    assert {type(node) for node in (compiled[0], compiled[0]["encoder"], compiled[1])} == {dict}


def test_encoder_and_head_are_subtrees_that_run_alone():
    encoder = create_encoder("convnet", **TINY, normalisation="batch")
    head = create_head("linear", num_classes=5)
    model = attach_head(encoder, head)
    params, state = jax.jit(model.init)(KEY, IMAGES)
    output, _ = jax.jit(model.apply)(params, state, IMAGES)
    embedding, _ = jax.jit(encoder.apply)(params["encoder"], state["encoder"], IMAGES)
    logits, _ = head.apply(params["head"], state["head"], embedding)
    np.testing.assert_allclose(output.embedding, embedding, rtol=1e-6)
    np.testing.assert_allclose(output.logits, logits, rtol=1e-5, atol=1e-6)


def test_encoder_is_drawn_the_same_whatever_the_head():
    encoder = create_encoder("convnet", **TINY)
    models = [attach_head(encoder, create_head("linear", num_classes=n)) for n in (2, 3)]
    draws = jax.jit(lambda key: [m.init(key, IMAGES)[0]["encoder"] for m in models])(KEY)
    jax.tree.map(np.testing.assert_array_equal, *draws)


def test_model_state_changes_in_training_only(network):
    model, params, state = network
    _, evaluated = jax.jit(model.apply)(params, state, IMAGES)
    _, trained = jax.jit(model.apply, static_argnums=3)(params, state, IMAGES, True)
    jax.tree.map(np.testing.assert_array_equal, state, evaluated)
    assert jax.tree.structure(trained) == jax.tree.structure(state)
    assert all(not np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (state, trained)), strict=True))


def test_model_state_is_empty_without_batch_norm():
    model = _network(normalisation="layer")
    params, state = jax.eval_shape(model.init, KEY, IMAGES)
    assert state == {"encoder": {}, "head": {}}
    trained = jax.eval_shape(lambda *a: model.apply(*a, True)[1], params, state, IMAGES)
    assert trained == state


def test_intermediates_are_named_in_order_of_depth_even_after_jit(network):
    model, params, state = network
    output, _, features = jax.jit(model.apply, static_argnums=(3, 4))(params, state, IMAGES, False, True)
    assert list(features) == [
        "encoder.stage1.conv1",
        "encoder.stage2.conv1",
        "encoder.embedding",
        "head.hidden1",
        "head.bottleneck",
        "head.logits",
    ]
    np.testing.assert_array_equal(features["encoder.embedding"], output.embedding)
    np.testing.assert_array_equal(features["head.logits"], output.logits)


def test_a_population_is_a_vmap():
    model = _network(normalisation="batch")
    params, state = jax.jit(jax.vmap(model.init, (0, None)))(jax.random.split(KEY, 3), IMAGES)
    apply = jax.jit(jax.vmap(lambda p, s: model.apply(p, s, IMAGES, True)[0].logits))
    logits = apply(params, state)
    alone = jax.jit(model.apply, static_argnums=3)(*jax.tree.map(lambda leaf: leaf[1], (params, state)), IMAGES, True)
    np.testing.assert_allclose(logits[1], alone[0].logits, atol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        partial(create_encoder, "vgg11", **TINY),
        partial(create_encoder, "convnet", **TINY),
        partial(create_encoder, "mlp", widths=(8, 4)),
        partial(resnet, "basic", (1,), 4),
    ],
    ids=["vgg", "convnet", "mlp", "resnet"],
)
def test_every_layer_of_an_encoder_takes_the_parts_of_the_batch(build):
    encoder = build(normalisation="batch", batch_norm_parts=2)
    params, state = jax.jit(encoder.init)(KEY, IMAGES)
    apply = jax.jit(lambda x: encoder.apply(params, state, x, True)[0])
    # The first part of the batch does not feel what is in the second.
    np.testing.assert_allclose(apply(IMAGES)[:2], apply(IMAGES.at[2:].multiply(3))[:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_bfloat16_computes_but_keeps_float32_parameters_and_outputs(name):
    encoder = create_encoder(name, dtype="bfloat16")
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    params, state = jax.eval_shape(encoder.init, KEY, images)
    output, _, features = jax.eval_shape(lambda *a: encoder.apply(*a, True, True), params, state, images)
    assert {leaf.dtype for leaf in jax.tree.leaves((params, state, output, features))} == {np.dtype("float32")}


def test_bfloat16_is_near_float32_but_not_equal():
    outputs = []
    for dtype in ("float32", "bfloat16"):
        encoder = create_encoder("convnet", **TINY, dtype=dtype)
        outputs.append(jax.jit(encoder.apply)(*jax.jit(encoder.init)(KEY, IMAGES), IMAGES)[0])
    difference = np.abs(outputs[0] - outputs[1]).max() / np.abs(outputs[0]).max()
    assert 0 < difference < 0.03


def test_parameter_count_and_embedding_size_need_no_arrays():
    encoder = create_encoder("convnet", **TINY)
    params, _ = jax.eval_shape(encoder.init, KEY, IMAGES)
    assert parameter_count(params) == (27 * 4 + 4) + (36 * 8 + 8)
    assert embedding_size(encoder, (8, 8, 3)) == 2 * 2 * 8


def test_too_many_stages_are_explained_with_both_remedies():
    with pytest.raises(ArgumentError, match=r"num_stages is 5 .* 16x16.*take num_stages=4 or images of 32 pixels"):
        check_input(create_encoder("vgg11"), (16, 16, 3), "vgg11")
    check_input(create_encoder("vgg11", num_stages=4), (16, 16, 3), "vgg11")


def test_images_of_one_pixel_have_one_remedy():
    with pytest.raises(ArgumentError, match=r"take images of 2 pixels or more"):
        check_input(create_encoder("convnet", num_stages=1), (1, 1, 3), "convnet")


def test_patches_must_tile_the_image():
    with pytest.raises(ArgumentError, match=r"patch_size is 8 .* 28x28"):
        check_input(create_encoder("vit_tiny"), (28, 28, 1), "vit_tiny")


@pytest.mark.parametrize("shape", [(32, 32), (0, 32, 3)])
def test_inputs_that_are_no_images_are_refused(shape):
    with pytest.raises(DataError, match=r"encoder 'vgg11' takes \(height, width, channels\)"):
        check_input(create_encoder("vgg11"), shape, "vgg11")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vgg12", {}, "did you mean 'vgg1"),
        ("vgg11", {"widht": 1.0}, "did you mean 'width'"),
        ("vgg11", {"width": 0.0}, r"encoder\.width is 0\.0"),
        ("vgg11", {"num_stages": 6}, r"encoder\.num_stages is 6.*\[1, 5\]"),
        ("vgg11", {"normalisation": "btach"}, "one of 'batch'"),
        ("resnet18", {"batch_norm_parts": 0}, r"encoder\.batch_norm_parts is 0"),
        ("vgg11", {"batch_norm_parts": 2}, r"encoder\.batch_norm_parts is 2 but the normalisation is 'none'"),
        ("vit_tiny", {"patch_size": 0}, r"encoder\.patch_size is 0"),
        ("mlp", {"widths": ()}, r"encoder\.widths is \(\)"),
        ("mlp", {"widths": (4, 0)}, r"encoder\.widths is 0"),
    ],
)
def test_wrong_encoder_options_are_explained(name, options, message):
    with pytest.raises(ConfigError, match=message):
        create_encoder(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("linear", {"num_classes": 0}, r"head\.num_classes is 0"),
        ("projector", {"hidden_sizes": (0,)}, r"head\.hidden_sizes is 0"),
        ("projector", {"output_size": 0}, r"head\.output_size is 0"),
        ("projector", {"bottleneck_size": None, "output_size": None}, "both None"),
    ],
)
def test_wrong_head_options_are_explained(name, options, message):
    with pytest.raises(ConfigError, match=message):
        create_head(name, **options)


@pytest.mark.parametrize("registry", [ENCODERS, HEADS])
def test_every_option_has_a_type_and_a_default_that_fits_it(registry):
    for name in registry.names():
        registry.check(name, registry.options(name))
