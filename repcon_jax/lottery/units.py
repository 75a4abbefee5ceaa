"""What writes and reads the units of a network, and which of them change nothing that it computes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from repcon_jax.models.kernels import gelu
from repcon_jax.models.normalisation import EPSILON
from repcon_jax.symmetry import PermutationSpec
from repcon_jax.symmetry.spec import Axis, as_blocks, split_shape

Leaves = dict[str, np.ndarray]
Values = Float[np.ndarray, " units"]
Units = Bool[np.ndarray, " units"]


@dataclass(frozen=True)
class Layer:
    """A linear map or convolution and the normalisation after it, by their paths in the trees.

    Args:
        path, norm: of the layer and of its normalisation, which need not be there.
        inputs: what its kernel's axis of inputs counts.
        divided: whether its kernel's columns are divided by their norm.
    """

    path: str
    norm: str
    inputs: Axis
    divided: bool

    def kernel(self, leaves: Leaves) -> Float[np.ndarray, "others units outputs"]:
        """The kernel by the unit that is read; the other axis has the pixels of the kernel or of a flattened image."""
        kernel = leaves[f"{self.path}/kernel"]
        number = kernel.ndim - 2
        split = np.moveaxis(kernel.reshape(split_shape(kernel.shape, number, self.inputs)), number + 1, -2)
        return split.reshape(-1, *split.shape[-2:])

    def constants(self, leaves: Leaves) -> Values:
        """What the layer writes whatever it reads, NaN where that depends on it; in evaluation mode."""
        kernel = leaves[f"{self.path}/kernel"]
        reads = np.any(kernel != 0, axis=tuple(range(kernel.ndim - 1)))
        constants = np.where(reads, np.nan, leaves.get(f"{self.path}/bias", 0.0)).astype(kernel.dtype)
        scale, bias, mean, var = (leaves.get(f"{self.norm}/{name}") for name in ("scale", "bias", "mean", "var"))
        if scale is None:
            return constants
        # Over one image a constant is its own mean, so instance normalisation makes it zero.
        standard = 0 * constants if mean is None else (constants - mean) / np.sqrt(var + EPSILON)
        return np.where(scale == 0, bias, standard * scale + bias)

    def ignores(self, leaves: Leaves) -> Units:
        """The inputs with zero weights."""
        return np.all(self.kernel(leaves) == 0, axis=(0, 2))

    def absorbs(self, leaves: Leaves) -> bool:
        """Whether a constant input can be had by changing the bias or the running mean instead."""
        pixels = leaves[f"{self.path}/kernel"].shape[:-2]
        shifted = f"{self.path}/bias" in leaves or f"{self.norm}/scale" in leaves
        return shifted and not self.divided and all(size == 1 for size in pixels)

    def absorb(self, leaves: Leaves, inputs: Values) -> None:
        """Replaces constant inputs, zero where there is none, by changing the bias or the running mean."""
        shift = np.einsum("aio,i->o", self.kernel(leaves), inputs)
        if f"{self.path}/bias" in leaves:
            leaves[f"{self.path}/bias"] = leaves[f"{self.path}/bias"] + shift
        elif f"{self.norm}/mean" in leaves:
            leaves[f"{self.norm}/mean"] = leaves[f"{self.norm}/mean"] - shift


@dataclass(frozen=True)
class Group:
    """Units that can only go together.

    Args:
        writers: layers whose outputs they are; several add up in a residual stream.
        readers: layers whose inputs they are.
        activation: between the two.
        measured: whether the units are divided by their norm, which even one that no layer reads is part of.
    """

    writers: tuple[Layer, ...]
    readers: tuple[Layer, ...]
    activation: Callable[[Values], Values]
    measured: bool

    def constants(self, leaves: Leaves) -> Values:
        """The values of the units that have one whatever the input, NaN for the others."""
        values = np.stack([self.activation(writer.constants(leaves)) for writer in self.writers])
        if len(values) == 1:
            return values[0]
        # A stream grows from block to block, unless all that is added to it is cut off by the activation.
        return np.where(np.all(values == 0, axis=0), 0, np.nan).astype(values.dtype)

    def dead(self, leaves: Leaves) -> Units:
        """The units that can go."""
        constants = self.constants(leaves)
        replaceable = constants == 0
        if not self.measured and all(reader.absorbs(leaves) for reader in self.readers):
            replaceable = ~np.isnan(constants)
        for reader in self.readers:
            if reader.divided:
                replaceable &= reader.ignores(leaves)
        return replaceable | self.unread(leaves)

    def unread(self, leaves: Leaves) -> Units:
        """The units that nothing depends on."""
        ignored = np.all([reader.ignores(leaves) for reader in self.readers], axis=0)
        return ignored & (not self.measured)

    def silence(self, leaves: Leaves, unit: int) -> bool:
        """Lets an unread unit read nothing either; whether it did before."""
        paths = [f"{writer.path}/kernel" for writer in self.writers]
        paths = [path for path in paths if self.unread(leaves)[unit] and np.any(leaves[path][..., unit])]
        for path in paths:
            leaves[path] = leaves[path].copy()
            leaves[path][..., unit] = 0
        return bool(paths)


def find_groups(spec: PermutationSpec, encoder_name: str, head_options: Mapping[str, Any]) -> dict[str, Group]:
    """The groups of a spec with their layers.

    Args:
        spec: of the encoder with its head.
        encoder_name: as registered, for its activation.
        head_options: all options of the head, for its normalisations.
    """
    layers = {name: _layer(name, axes[-2], head_options) for name, axes in spec.axes.items() if name.endswith("kernel")}

    def group(name: str) -> Group:
        writers = tuple(layer for path, layer in layers.items() if spec.axes[path][-1] == name)
        readers = tuple(layer for layer in layers.values() if layer.inputs and as_blocks(layer.inputs).group == name)
        last = any(reader.path == "head/output/linear" for reader in readers)
        measured = last and head_options["feature_normalisation"]
        return Group(writers, readers, _activation(name, encoder_name), measured)

    return {name: group(name) for name in spec.sizes}


def _layer(name: str, inputs: Axis, head_options: Mapping[str, Any]) -> Layer:
    path = name.removesuffix("/kernel")
    flag = {"head/output/linear": "weight_normalisation", "head/bottleneck/linear": "bottleneck_weight_normalisation"}
    norm = re.sub(r"(linear|conv)(\d*)$", r"norm\2", path)
    return Layer(path, norm, inputs, path in flag and head_options[flag[path]])


def _activation(group: str, encoder_name: str) -> Callable[[Values], Values]:
    if group == "head/bottleneck/linear":
        return lambda values: values
    if group.startswith("head/") or encoder_name == "mlp":
        return lambda values: np.asarray(gelu(jnp.asarray(values)))
    return lambda values: np.maximum(values, 0)
