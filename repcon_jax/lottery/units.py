"""What writes and reads the units of a network, and which of them change nothing that it computes."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from repcon_jax.models import Layer
from repcon_jax.models.architecture import Architecture, Axis
from repcon_jax.models.normalisation import EPSILON
from repcon_jax.symmetry import PermutationSpec
from repcon_jax.symmetry.spec import as_blocks, split_shape

Leaves = dict[str, np.ndarray]
Values = Float[np.ndarray, " units"]
Units = Bool[np.ndarray, " units"]


@dataclass(frozen=True)
class Weights:
    """The weights of a declared layer, which write and read units.

    Args:
        layer: as declared.
        inputs: what its kernel's axis of inputs counts, as the spec has it.
    """

    layer: Layer
    inputs: Axis

    def kernel(self, leaves: Leaves) -> Float[np.ndarray, "others units outputs"]:
        """The kernel by the unit that is read; the other axis has the pixels of the kernel or of a flattened image."""
        kernel = leaves[self.layer.kernel]
        number = kernel.ndim - 2
        split = np.moveaxis(kernel.reshape(split_shape(kernel.shape, number, self.inputs)), number + 1, -2)
        return split.reshape(-1, *split.shape[-2:])

    def constants(self, leaves: Leaves) -> Values:
        """What the layer writes whatever it reads, NaN where that depends on it; in evaluation mode."""
        kernel = leaves[self.layer.kernel]
        reads = np.any(kernel != 0, axis=tuple(range(kernel.ndim - 1)))
        constants = np.where(reads, np.nan, leaves.get(f"{self.layer.path}/bias", 0.0)).astype(kernel.dtype)
        norm = self.layer.norm
        scale, bias, mean, var = (leaves.get(f"{norm}/{name}") for name in ("scale", "bias", "mean", "var"))
        if scale is not None:
            # Over one image a constant is its own mean, so instance normalisation makes it zero.
            standard = 0 * constants if mean is None else (constants - mean) / np.sqrt(var + EPSILON)
            constants = np.where(scale == 0, bias, standard * scale + bias)
        return np.asarray(self.layer.activation(jnp.asarray(constants)))

    def ignores(self, leaves: Leaves) -> Units:
        """The inputs with zero weights."""
        return np.all(self.kernel(leaves) == 0, axis=(0, 2))

    def absorbs(self, leaves: Leaves) -> bool:
        """Whether a constant input can be had by changing the bias or the running mean instead."""
        window = leaves[self.layer.kernel].shape[:-2]
        shifted = f"{self.layer.path}/bias" in leaves or f"{self.layer.norm}/scale" in leaves
        return shifted and not self.layer.unit_kernel and all(size == 1 for size in window)

    def absorb(self, leaves: Leaves, inputs: Values) -> None:
        """Replaces constant inputs, zero where there is none, by changing the bias or the running mean."""
        shift = np.einsum("aio,i->o", self.kernel(leaves), inputs)
        bias, mean = f"{self.layer.path}/bias", f"{self.layer.norm}/mean"
        if bias in leaves:
            leaves[bias] = leaves[bias] + shift
        elif mean in leaves:
            leaves[mean] = leaves[mean] - shift


@dataclass(frozen=True)
class CoupledUnits:
    """Units that can only go together.

    Args:
        writers: layers whose outputs they are; several add up in a residual stream.
        readers: layers whose inputs they are.
    """

    writers: tuple[Weights, ...]
    readers: tuple[Weights, ...]

    @property
    def measured(self) -> bool:
        """Whether the units are divided by their norm, which even one that no layer reads is part of."""
        return any(reader.layer.unit_inputs for reader in self.readers)

    def constants(self, leaves: Leaves) -> Values:
        """The values of the units that have one whatever the input, NaN for the others."""
        values = np.stack([writer.constants(leaves) for writer in self.writers])
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
            if reader.layer.unit_kernel:
                replaceable &= reader.ignores(leaves)
        return replaceable | self.unread(leaves)

    def unread(self, leaves: Leaves) -> Units:
        """The units that nothing depends on."""
        ignored = np.all([reader.ignores(leaves) for reader in self.readers], axis=0)
        return ignored & (not self.measured)

    def silence(self, leaves: Leaves, unit: int) -> bool:
        """Lets an unread unit read nothing either; whether it did before."""
        paths = [writer.layer.kernel for writer in self.writers]
        paths = [path for path in paths if self.unread(leaves)[unit] and np.any(leaves[path][..., unit])]
        for path in paths:
            leaves[path] = leaves[path].copy()
            leaves[path][..., unit] = 0
        return bool(paths)


def find_coupled_units(spec: PermutationSpec, architecture: Architecture) -> dict[str, CoupledUnits]:
    """The groups of units that can go, with their layers.

    Those are not among them that nothing reads, as an embedding without a head, or that lie along axes of parameters
    which are no layer's, as a transformer's residual stream.

    Args:
        spec: of a model.
        architecture: what its families declare.
    """
    layers = [Weights(layer, spec.axes[layer.kernel][-2]) for layer in architecture.layers]
    elsewhere = {as_blocks(axis).group for _, axes in architecture.other_axes for axis in axes if axis is not None}

    def group(name: str) -> CoupledUnits:
        writers = tuple(layer for layer in layers if layer.layer.writes == name)
        readers = tuple(layer for layer in layers if layer.inputs and as_blocks(layer.inputs).group == name)
        return CoupledUnits(writers, readers)

    groups = {name: group(name) for name in spec.sizes if name not in elsewhere}
    return {name: group for name, group in groups.items() if group.readers}
