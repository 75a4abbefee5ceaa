"""What the naming schemes of vision transformers share: which module is which, and what shapes say of a network."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from repcon_jax.errors import CheckpointError
from repcon_jax.weights.scheme import Reading, Shapes, Tensor, tensor

ENCODERS = ("vit_tiny", "vit_small", "vit_medium", "vit_base", "vit_large")
EXPRESSIBLE = {"tied": (False,)}


@dataclasses.dataclass(frozen=True)
class Names:
    """Names in a state dict of a vision transformer.

    Args:
        modules: of modules, by our path below the encoder; those of a block, below it.
        block: before what lies in a block; ``{}`` is its number, from 0.
        arrays: of what is of no module, likewise by our path.
        head: module of the classifier.
    """

    modules: Mapping[str, str]
    block: str
    arrays: Mapping[str, str]
    head: str

    def tensors(self, shapes: Shapes) -> dict[str, Tensor]:
        """Where each array of ours stands; see ``Scheme``."""
        return {path: self._tensor(path, shape) for path, shape in shapes.items()}

    def _tensor(self, path: str, shape: tuple[int, ...]) -> Tensor:
        part, _, below = path.partition("/")
        if part == "head":
            return tensor(path, shape, self.head)
        above = ""
        if found := re.fullmatch(r"block(\d+)/(.*)", below):
            above, below = self.block.format(int(found[1]) - 1), found[2]
        if below in self.arrays:
            return Tensor(above + self.arrays[below])
        return tensor(path, shape, above + self.modules[below.rpartition("/")[0]])


def read_vit(shapes: Shapes, names: Names, **options: Any) -> Reading:
    """What the shapes in a state dict say of a vision transformer.

    Args:
        shapes: of the state dict, by name.
        names: of its scheme.
        **options: of the encoder that shapes do not show.
    Raises:
        CheckpointError: the position embedding has neither one entry for each patch of a square image nor one more.
    """
    patch_size = shapes[f"{names.modules['patches']}.weight"][-1]
    position, registers = names.arrays["position"], names.arrays["registers"]
    length = shapes[position][1]
    side = math.isqrt(length)
    if side**2 not in (length, length - 1):
        raise CheckpointError(
            f"tensor {position!r} has {length} entries but must have one for each patch of a square image, with or "
            "without one for the class token; interpolate it to such first."
        )
    scale = names.block.format(0) + names.arrays["scale1"]
    found = {
        "patch_size": patch_size,
        "layer_scale": 1e-5 if scale in shapes else None,  # where they began, which trained ones do not tell
        "num_registers": shapes[registers][1] if registers in shapes else 0,
        "class_position": side**2 != length,
        "position_size": side * patch_size,
    }
    return Reading(found | options, side * patch_size)
