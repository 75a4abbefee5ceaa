"""Residual networks as torchvision names them; timm's names are the same.

Source: torchvision's ``resnet.py`` of 0.20: ``conv1``, ``bn1``, ``layer1.0.conv1``, ``layer1.0.downsample.0``, ``fc``.
"""

import re

from repcon_jax.models.encoders.resnet import ARCHITECTURES
from repcon_jax.weights.scheme import SCHEMES, Reading, Scheme, Shapes, tensor

_STEM, _CLASSIFIER = "conv1.weight", "fc.weight"


@SCHEMES.register("torchvision_resnet")
def torchvision_resnet() -> Scheme:
    """Residual networks of torchvision and timm, with batch norm."""
    return Scheme(
        formats=("torchvision", "timm"),
        encoders=tuple(ARCHITECTURES),
        tensors=lambda shapes: {path: tensor(path, shape, _module(path)) for path, shape in shapes.items()},
        read=_read,
        classifier=lambda shapes, _: _CLASSIFIER if _CLASSIFIER in shapes else None,
        marks=("conv1.", "layer1."),
        ignored=(r"num_batches_tracked$",),
        expressible={"normalisation": ("batch",)},
    )


def _module(path: str) -> str:
    """The module of one of our paths."""
    place = path.rpartition("/")[0]
    if place.startswith("head/"):
        return "fc"
    if found := re.fullmatch(r"encoder/stem/(conv|norm)", place):
        return {"conv": "conv1", "norm": "bn1"}[found[1]]
    stage, block, name, kind = re.fullmatch(r"encoder/stage(\d+)/block(\d+)/(\w+)/(conv|norm)", place).groups()
    above = f"layer{stage}.{int(block) - 1}"
    if name == "shortcut":
        return f"{above}.downsample.{('conv', 'norm').index(kind)}"
    return f"{above}.{'conv' if kind == 'conv' else 'bn'}{name.removeprefix('layer')}"


def _read(shapes: Shapes) -> Reading:
    is_large = shapes[_STEM][-1] == 7
    return Reading({"stem": "imagenet" if is_large else "cifar"}, 224 if is_large else 32)
