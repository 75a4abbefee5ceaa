"""Vision transformers as timm names them, and with few differences DINO and DINOv2.

Sources: timm's ``vision_transformer.py`` of 1.0: ``cls_token``, ``pos_embed``, ``patch_embed.proj``,
``blocks.0.attn.qkv``, ``blocks.0.ls1.gamma``, ``norm``, ``head``; dinov2's of 2023. Registers are ``reg_token`` in timm
and ``register_tokens`` in DINOv2. All interpolate positions bicubically; timm and DINOv2 with registers do so with
antialiasing, DINO and DINOv2 without registers do not, and add 0.1 to the grid where they compute the scale.
"""

from collections.abc import Mapping
from typing import Any

from repcon_jax.weights.scheme import SCHEMES, Reading, Scheme, Shapes
from repcon_jax.weights.transformers import ENCODERS, EXPRESSIBLE, Names, read_vit

_MODULES = {
    "patches": "patch_embed.proj",
    "norm1": "norm1",
    "attention/query_key_value": "attn.qkv",
    "attention/output": "attn.proj",
    "norm2": "norm2",
    "hidden": "mlp.fc1",
    "output": "mlp.fc2",
    "norm": "norm",
}
_ARRAYS = {"class_token": "cls_token", "position": "pos_embed", "scale1": "ls1.gamma", "scale2": "ls2.gamma"}
_MARKS = ("cls_token", "pos_embed", "blocks.")
TIMM = Names(_MODULES, "blocks.{}.", {**_ARRAYS, "registers": "reg_token"}, "head")
DINO = Names(_MODULES, "blocks.{}.", {**_ARRAYS, "registers": "register_tokens"}, "head")


@SCHEMES.register("timm_vit")
def timm_vit() -> Scheme:
    """Vision transformers of timm that read the class token."""
    return Scheme(
        formats=("timm",),
        encoders=ENCODERS,
        tensors=TIMM.tensors,
        read=lambda shapes: read_vit(shapes, TIMM),
        classifier=_classifier,
        marks=_MARKS,
        expressible=EXPRESSIBLE,
    )


@SCHEMES.register("dino_vit")
def dino_vit() -> Scheme:
    """Vision transformers of DINO and DINOv2; the token for masked patches tells the latter from timm's."""
    return Scheme(
        formats=("dino",),
        encoders=ENCODERS,
        tensors=DINO.tensors,
        read=_read_dino,
        classifier=_classifier,
        marks=(*_MARKS, "mask_token"),
        # Blocks that were put into chunks have the chunk's number first.
        aliases=((r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),),
        ignored=(r"^mask_token$",),
        expressible=EXPRESSIBLE,
    )


def _classifier(shapes: Shapes, _: Mapping[str, Any]) -> str | None:
    return "head.weight" if "head.weight" in shapes else None


def _read_dino(shapes: Shapes) -> Reading:
    if DINO.arrays["registers"] in shapes:
        return read_vit(shapes, DINO)
    return read_vit(shapes, DINO, position_interpolation="plain", position_offset=0.1)
