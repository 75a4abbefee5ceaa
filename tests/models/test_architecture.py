"""What families declare, against what their networks have."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from repcon_jax.errors import ArgumentError
from repcon_jax.models import ENCODERS, INPUTS, Blocks, Layer, attach_head, create_encoder, create_head, declared
from repcon_jax.models.architecture import Architecture
from repcon_jax.trees import named_leaves

SMALL = {"vgg": {"width": 0.1}, "convnet": {"width": 0.1}, "resnet": {"width": 0.1}, "vit": {"depth": 2}, "mlp": {}}
IMAGES = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)


def encoder_of(name):
    return create_encoder(name, **next(options for prefix, options in SMALL.items() if name.startswith(prefix)))


def shapes(model):
    """Parameters and features by name."""

    def run(key, images):
        params, state = model.init(key, images)
        return params, model.apply(params, state, images, False, True)[2]

    return jax.eval_shape(run, jax.random.key(0), IMAGES)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_every_encoder_declares_its_blocks_in_order_of_depth_and_a_layer_for_each_kernel(name):
    model = attach_head(encoder_of(name), create_head("projector", hidden_sizes=(4,), output_size=3))
    params, features = shapes(model)
    ends = {"encoder.embedding", "head.logits"}
    assert list(model.architecture.blocks) == [block for block in features if block not in ends]
    kernels = {path for path in named_leaves(params) if path.endswith("kernel")}
    assert kernels == {layer.kernel for layer in model.architecture.layers}
    assert model.architecture.last_layers == ("head/output/linear",)


def test_models_of_equal_options_stay_equal_and_of_one_hash():
    for name in ("resnet20", "vit_tiny"):
        assert encoder_of(name) == encoder_of(name)
        assert hash(encoder_of(name)) == hash(encoder_of(name))


def test_parts_of_parts_keep_what_they_read():
    blocks = Blocks(INPUTS, outer=4)
    own = Architecture((Layer("a", blocks, "a"), Layer("b", Blocks("a", inner=2), None)), last_layers=("b",))
    assert [layer.reads for layer in own.within("x", "units").layers] == [
        Blocks("units", outer=4),
        Blocks("x/a", inner=2),
    ]
    assert own.within("x").layers[0].reads is None
    assert own.within("x", INPUTS).within("y", "units").layers[0].reads == Blocks("units", outer=4)
    assert own.within("x").last_layers == ("x/b",)


def test_a_part_that_declares_nothing_is_named():
    encoder, head = encoder_of("mlp"), create_head("linear", num_classes=3)
    silent = dataclasses.replace(encoder, architecture=None)
    with pytest.raises(
        ArgumentError, match="model has the encoder 'mlp', which declares neither layers nor units; give"
    ):
        declared(attach_head(silent, head))
    assert attach_head(silent, head).architecture.last_layers == ("head/output",)
    assert attach_head(silent, dataclasses.replace(head, architecture=None)).architecture is None
