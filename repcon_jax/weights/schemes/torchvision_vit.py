"""Vision transformers as torchvision names them.

Source: torchvision's ``vision_transformer.py`` of 0.20: ``class_token``, ``conv_proj``, ``encoder.pos_embedding``,
``encoder.layers.encoder_layer_0.self_attention.in_proj_weight``, ``encoder.ln``, ``heads.head``; its published weights
have the older ``mlp.linear_1`` and ``mlp.linear_2``, now ``mlp.0`` and ``mlp.3``.
"""

from repcon_jax.weights.scheme import SCHEMES, Scheme, Shapes, Tensor
from repcon_jax.weights.transformers import ENCODERS, EXPRESSIBLE, Names, read_vit

_MODULES = {
    "patches": "conv_proj",
    "norm1": "ln_1",
    "attention/query_key_value": "self_attention.in_proj",
    "attention/output": "self_attention.out_proj",
    "norm2": "ln_2",
    "hidden": "mlp.0",
    "output": "mlp.3",
    "norm": "encoder.ln",
}
# It has neither layer scale nor registers; the names keep networks that have them apart.
_ARRAYS = {
    "class_token": "class_token",
    "position": "encoder.pos_embedding",
    "registers": "registers",
    "scale1": "scale1",
    "scale2": "scale2",
}
NAMES = Names(_MODULES, "encoder.layers.encoder_layer_{}.", _ARRAYS, "heads.head")


@SCHEMES.register("torchvision_vit")
def torchvision_vit() -> Scheme:
    """Vision transformers of torchvision without a representation layer."""
    return Scheme(
        formats=("torchvision",),
        encoders=ENCODERS,
        tensors=_tensors,
        read=lambda shapes: read_vit(shapes, NAMES),
        classifier=lambda shapes, _: "heads.head.weight" if "heads.head.weight" in shapes else None,
        marks=("class_token", "conv_proj.", "encoder.layers."),
        aliases=((r"\.mlp\.linear_1\.", ".mlp.0."), (r"\.mlp\.linear_2\.", ".mlp.3.")),
        expressible={**EXPRESSIBLE, "layer_scale": (None,), "num_registers": (0,), "class_position": (True,)},
    )


def _tensors(shapes: Shapes) -> dict[str, Tensor]:
    """The attention's projections are no module, so their names end otherwise."""
    tensors = NAMES.tensors(shapes)
    return {path: found._replace(name=found.name.replace("in_proj.", "in_proj_")) for path, found in tensors.items()}
