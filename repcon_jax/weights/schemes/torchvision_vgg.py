"""VGG as torchvision names it: layers are numbered through, those without parameters too.

Source: torchvision's ``vgg.py`` of 0.20: ``features.0`` and so on with a max pool after each stage and, in the ``_bn``
variants, a batch norm after each convolution; ``classifier.0``, ``.3`` and ``.6``, each but the last followed by a ReLU
and dropout, which does nothing outside training.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from repcon_jax.models.encoders.vgg import DEPTHS
from repcon_jax.weights.layouts import flattened
from repcon_jax.weights.scheme import SCHEMES, Reading, Scheme, Shapes, Tensor, tensor


@SCHEMES.register("torchvision_vgg")
def torchvision_vgg() -> Scheme:
    """VGG of torchvision, with batch norm or without, with its linear layers or features alone."""
    return Scheme(
        formats=("torchvision",),
        encoders=tuple(DEPTHS),
        tensors=_tensors,
        read=_read,
        classifier=_classifier,
        marks=("features.",),
        ignored=(r"num_batches_tracked$",),
        expressible={"normalisation": ("batch", "none")},
    )


def _tensors(shapes: Shapes) -> dict[str, Tensor]:
    modules, channels = _modules(shapes)
    first = next((place for place, module in modules.items() if module == "classifier.0"), None)
    tensors = {}
    for path, shape in shapes.items():
        place = path.rpartition("/")[0]
        layout = flattened(channels) if path == f"{first}/kernel" else None
        tensors[path] = tensor(path, shape, modules[place], layout)
    return tensors


def _modules(shapes: Shapes) -> tuple[dict[str, str], int]:
    """The module of each of our layers, and the channels of the last convolution."""
    modules, number, channels, last_stage = {}, 0, 0, "1"
    convolutions = [re.fullmatch(r"encoder/stage(\d+)/conv(\d+)/kernel", path) for path in shapes]
    for found in sorted(filter(None, convolutions), key=lambda found: tuple(map(int, found.groups()))):
        place, (stage, index) = found[0].rpartition("/")[0], found.groups()
        norm = f"encoder/stage{stage}/norm{index}"
        number, last_stage = number + (stage != last_stage), stage
        modules |= {place: f"features.{number}", norm: f"features.{number + 1}"}
        number += 3 if f"{norm}/scale" in shapes else 2
        channels = shapes[found[0]][-1]
    linear = [path for path in shapes if re.fullmatch(r"encoder/linear\d+/kernel", path)]
    linear = [*sorted(linear, key=_number), "head/output/kernel"]
    return modules | {path.removesuffix("/kernel"): f"classifier.{3 * i}" for i, path in enumerate(linear)}, channels


def _number(name: str) -> int:
    return int(re.search(r"\d+", name)[0])


def _classifier(shapes: Shapes, options: Mapping[str, Any]) -> str | None:
    """The linear layer after those of the encoder, if there is one."""
    return next(iter(_linear_layers(shapes)[len(options["fully_connected"]) :]), None)


def _linear_layers(shapes: Shapes) -> list[str]:
    return sorted((name for name in shapes if re.fullmatch(r"classifier\.\d+\.weight", name)), key=_number)


def _read(shapes: Shapes) -> Reading:
    """The last linear layer is taken for the classifier; whose file lacks that gives fully_connected."""
    kernels = [name for name, shape in shapes.items() if name.startswith("features.") and len(shape) == 4]
    linear = [shapes[name] for name in _linear_layers(shapes)]
    options = {
        "normalisation": "batch" if "features.1.running_mean" in shapes else "none",
        "fully_connected": tuple(outputs for outputs, _ in linear[:-1]),
    }
    if not linear:
        return Reading(options, 224)
    channels = shapes[max(kernels, key=_number)][0]
    return Reading(options, 32 * math.isqrt(linear[0][1] // channels))
