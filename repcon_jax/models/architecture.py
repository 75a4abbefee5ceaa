"""What a family declares of its networks: layers, units, attentions, blocks and the last layer.

A declaration stands beside the module that it is about, and goes with the model: what permutes units, prunes filters
and heads, or removes what is dead reads it from there and knows no family by name. Paths are those of the parameters,
as in ``trees.named_leaves``, below the part that declares them; ``attach_head`` puts ``encoder/`` and ``head/`` before.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax

from repcon_jax.models.normalisation import Normalisation

# The units that a model is given: of a head, those of the embedding; of an encoder, pixels, which stay in their order.
INPUTS = "inputs"


def identity(x: jax.Array) -> jax.Array:
    """``x``."""
    return x


@dataclasses.dataclass(frozen=True)
class Blocks:
    """An axis of size outer * units * inner that counts the units of a group within blocks, as flattening makes it.

    Args:
        group: name of the group of units.
        outer: blocks along the axis; the pixels of a flattened image [height, width, channels].
        inner: consecutive entries of one unit; the pixels of a flattened image [channels, height, width].
    """

    group: str
    outer: int = 1
    inner: int = 1


# Whose units lie along an axis; None where it stays in its order.
Axis = str | Blocks | None
Axes = dict[str, tuple[Axis, ...]]


@dataclasses.dataclass(frozen=True)
class Layer:
    """A linear map or convolution, what normalises it and what is applied to that.

    Its parameters are ``kernel`` [..., inputs, outputs] and, where there is one, ``bias`` [outputs]; the
    normalisation's are ``scale`` and ``bias``, and ``mean`` and ``var`` (with epsilon 1e-5) in the model state.

    Args:
        path: of its parameters.
        reads: the group of units that are its inputs, ``INPUTS`` for what the model is given, or None for what stays
            in its order. An axis of several times as many entries has the units in each pixel of a flattened image
            [height, width, channels]; ``Blocks`` say another order.
        writes: the group of units that are its outputs; None for outputs that stay in their order. Layers whose
            outputs are added, as in a residual stream, write one group.
        norm: path of the normalisation after it, None where there is none.
        normalisation: its kind.
        activation: what is applied to each output after that.
        unit_inputs: whether its inputs are divided by their norm.
        unit_kernel: whether its kernel's columns are divided by their norm.
    """

    path: str
    reads: Axis
    writes: str | None
    norm: str | None = None
    normalisation: Normalisation = "none"
    activation: Callable[[jax.Array], jax.Array] = identity
    unit_inputs: bool = False
    unit_kernel: bool = False

    @property
    def kernel(self) -> str:
        """Path of its kernel."""
        return f"{self.path}/kernel"

    @property
    def beside_kernel(self) -> tuple[str, ...]:
        """Paths of all other parameters that have one entry an output, of which some may not be there."""
        norms = () if self.norm is None else tuple(f"{self.norm}/{name}" for name in ("scale", "bias", "mean", "var"))
        return (f"{self.path}/bias", *norms)


@dataclasses.dataclass(frozen=True)
class Attention:
    """A multi-head attention.

    Args:
        path: its name.
        num_heads: number of heads.
        projections: paths of the layers to queries, keys and values, or of one to all; their outputs are ordered
            (which of them, head, component).
        output: path of the layer from the joined heads, whose inputs are ordered (head, component).
    """

    path: str
    num_heads: int
    projections: tuple[str, ...]
    output: str


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What a family declares; hashable, and equal for equal options, since it is part of the model.

    Args:
        layers: all linear maps and convolutions, in order of depth.
        embedding: the group of units that the model's outputs are; None where they stay in their order.
        last_layers: paths of the layers whose outputs are the logits.
        attentions: in order of depth.
        blocks: names of the features that ``apply(..., intermediates=True)`` returns, in order of depth, without
            ``embedding`` and ``logits``.
        other_axes: of the parameters of no layer, such as a position embedding or a normalisation before a layer, the
            path and what lies along each axis. Units that lie along one of these can be permuted but not removed.

    >>> Architecture((Layer("linear", INPUTS, "linear"),), embedding="linear").within("encoder").layers[0].writes
    'encoder/linear'
    """

    layers: tuple[Layer, ...] = ()
    embedding: str | None = None
    last_layers: tuple[str, ...] = ()
    attentions: tuple[Attention, ...] = ()
    blocks: tuple[str, ...] = ()
    other_axes: tuple[tuple[str, tuple[Axis, ...]], ...] = ()

    def within(self, part: str, inputs: str | None = None) -> "Architecture":
        """The same as a part of a larger model.

        Args:
            part: name of the part, which goes before all paths, groups and blocks.
            inputs: the group of units that the part is given.
        """

        def path(name: str) -> str:
            return f"{part}/{name}"

        def axis(old: Axis) -> Axis:
            if isinstance(old, Blocks):
                group = axis(old.group)
                return None if group is None else dataclasses.replace(old, group=group)
            return inputs if old == INPUTS else None if old is None else path(old)

        def layer(old: Layer) -> Layer:
            norm = None if old.norm is None else path(old.norm)
            moved = {"path": path(old.path), "reads": axis(old.reads), "writes": axis(old.writes), "norm": norm}
            return dataclasses.replace(old, **moved)

        def attention(old: Attention) -> Attention:
            return Attention(path(old.path), old.num_heads, tuple(map(path, old.projections)), path(old.output))

        return Architecture(
            tuple(map(layer, self.layers)),
            None if self.embedding is None else path(self.embedding),
            tuple(map(path, self.last_layers)),
            tuple(map(attention, self.attentions)),
            tuple(f"{part}.{block}" for block in self.blocks),
            tuple((path(name), tuple(map(axis, axes))) for name, axes in self.other_axes),
        )


def attached(encoder: Architecture | None, head: Architecture | None) -> Architecture | None:
    """The architecture of an encoder with its head, which reads the embedding's units; None where neither has one."""
    parts = []
    if encoder is not None:
        parts.append(encoder.within("encoder"))
    if head is not None:
        parts.append(head.within("head", parts[0].embedding if parts else None))
    return _joined(parts)


def side_by_side(parts: Mapping[str, Architecture | None]) -> Architecture | None:
    """The architecture of parts that are given the same; None where none of them has one."""
    return _joined([part.within(name, INPUTS) for name, part in parts.items() if part is not None])


def _joined(parts: list[Architecture]) -> Architecture | None:
    if not parts:
        return None
    fields = ("layers", "last_layers", "attentions", "blocks", "other_axes")
    return Architecture(**{name: tuple(entry for part in parts for entry in getattr(part, name)) for name in fields})
