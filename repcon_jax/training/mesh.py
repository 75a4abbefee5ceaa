"""Devices as one mesh with the axes ``member`` and ``data``, from one device to several hosts, and what lies where.

Everything is compiled once for the whole mesh (``jax.jit`` with NamedSharding): each device holds a part of the
members and of every batch, and the compiler inserts what must be exchanged. Under it a batch is one global batch, so
batch normalisation takes its statistics over all devices; ``encoder.batch_norm_parts`` gives statistics per part.
"""

import dataclasses
import math
import re
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.options.schema import parse_call
from repcon_jax.training.schedules import refusing
from repcon_jax.trees import map_named
from repcon_jax.typing import PyTree

_PLACEMENTS = ("replicated", "sharded")


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """How the members and the batch are spread over the devices; it changes nothing but rounding.

    Args:
        member: number of devices over which the members of a population are spread; None for as many as divide both.
        data: number of devices over which each batch is spread; None for all that remain.
        parameters: ``"replicated"``, ``"sharded"`` (every device of the ``data`` axis holds a part of each array
            of parameters, teacher and optimiser state that divides), or pairs of (regular expression, placement), of
            which the first whose expression is found in a path decides. Placements are ``"replicated"``,
            ``"sharded"`` (the longest axis that divides) and ``"sharded(axis=N)"``.
        members: how a device trains several members: ``"vectorised"`` (all at once, which fills a GPU, and shares what
            depends on the seed only), ``"sequential"`` (one after the other within the same program, which keeps the
            caches of a CPU), ``"auto"`` for what is faster on the platform; members on several devices are vectorised.
        memory_gb: memory of one device in 1e9 bytes into which a population must fit; None asks the device.
    """

    member: int | None = None
    data: int | None = None
    parameters: str | tuple[tuple[str, str], ...] = "replicated"
    members: Literal["auto", "vectorised", "sequential"] = "auto"
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        """Checks ranges and rules."""
        for name in ("member", "data"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 1)
        if self.memory_gb is not None:
            check_range("memory_gb", self.memory_gb, 0, open_low=True)
        for pattern, placement in self.rules:
            _check_rule(pattern, placement)

    @property
    def rules(self) -> tuple[tuple[str, str], ...]:
        """The placements as pairs of (regular expression, placement)."""
        return ((".*", self.parameters),) if isinstance(self.parameters, str) else self.parameters


def build_mesh(config: MeshConfig, num_seeds: int, num_points: int) -> Mesh:
    """The mesh of a run.

    Args:
        config: the wish.
        num_seeds, num_points: members of the population; one of the two is spread over the axis ``member``.
    Raises:
        ArgumentError: the mesh does not fit the devices.
    """
    count = len(jax.devices())
    member, data = _shape(config, count, num_seeds, num_points)
    if member * data > count or count % (member * data):
        problem = f"x data is {member} x {data} but must divide the number of devices, {count}"
        raise ArgumentError("member", problem, "correct either, or leave both None")
    if jax.process_count() > 1 and member * data < count:
        problem = f"x data is {member} x {data} but several hosts must use all of their {count} devices"
        raise ArgumentError("member", problem, "leave data None")
    devices = None if member * data == count else jax.devices()[: member * data]
    return jax.make_mesh((member, data), ("member", "data"), (AxisType.Auto, AxisType.Auto), devices=devices)


def is_sequential(config: MeshConfig, mesh: Mesh) -> bool:
    """Whether a device trains its members one after the other.

    Raises:
        ArgumentError: it is asked to, but members lie on several devices.
    """
    if config.members == "auto":
        return jax.default_backend() == "cpu" and mesh.shape["member"] == 1
    if config.members == "sequential" and mesh.shape["member"] > 1:
        problem = f"is 'sequential' but members are spread over {mesh.shape['member']} devices"
        raise ArgumentError("members", problem, "set member to 1 or members to 'auto'")
    return config.members == "sequential"


def _shape(config: MeshConfig, count: int, num_seeds: int, num_points: int) -> tuple[int, int]:
    if config.member is not None:
        return config.member, config.data or max(1, count // config.member)
    if config.data is not None:
        return max(1, count // config.data), config.data
    member = max(math.gcd(count, num_seeds), math.gcd(count, num_points))
    return member, count // member


def place(mesh: Mesh, tree: PyTree, shardings: PyTree | None = None) -> PyTree:
    """The host arrays of a tree on the devices of a mesh, on every host's own, replicated unless told otherwise.

    Args:
        mesh: where to.
        tree: of NumPy arrays or what becomes one, the same on every host.
        shardings: tree of NamedSharding, or None.
    """
    replicated = NamedSharding(mesh, PartitionSpec())

    def put(leaf: Any, sharding: NamedSharding) -> Array:
        host = np.asarray(leaf)
        # Unlike device_put this asks no other host whether it holds the same.
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree, jax.tree.map(lambda _: replicated, tree) if shardings is None else shardings)


def shard_batch(array: Array, mesh: Mesh | None, axis: int = 0) -> Array:
    """The same array with its batch axis spread over the mesh's axis ``data``; for use inside jit."""
    if mesh is None or mesh.shape["data"] == 1:
        return array
    return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, PartitionSpec(*[None] * axis, "data")))


def placements(tree: PyTree, mesh: Mesh, rules: tuple[tuple[str, str], ...]) -> PyTree:
    """For every array of a tree its PartitionSpec, by the first rule whose expression is found in its path.

    Args:
        tree: arrays or their shapes, such as a train state of one member.
        mesh: its axis ``data`` is what is sharded over.
        rules: see ``MeshConfig``.
    Raises:
        ArgumentError: no rule covers a path, or the axis that one names does not exist or divide.
    """
    size = mesh.shape["data"]
    return map_named(lambda name, leaf: _placement(name, leaf.shape, size, rules), tree)


def _placement(name: str, shape: tuple[int, ...], size: int, rules: tuple[tuple[str, str], ...]) -> PartitionSpec:
    placement = next((p for pattern, p in rules if re.search(pattern, name)), None)
    if placement is None:
        raise ArgumentError("parameters", f"cover no array {name!r}", "end them with ('.*', 'replicated')")
    kind, options = parse_call(placement, "parameters")
    if kind == "replicated" or size == 1:
        return PartitionSpec()
    axis = options.get("axis")
    if axis is None:
        divisible = [i for i, length in enumerate(shape) if length % size == 0 and length >= size]
        if not divisible:
            return PartitionSpec()
        axis = max(divisible, key=lambda i: shape[i])
    elif not -len(shape) <= axis < len(shape) or shape[axis] % size:
        problem = f"shards axis {axis} of {name!r}, of shape {shape}, over {size} devices, which does not divide"
        raise ArgumentError("parameters", problem, "name another axis or write 'sharded'")
    spec: list[str | None] = [None] * len(shape)
    spec[axis] = "data"
    return PartitionSpec(*spec)


def _check_rule(pattern: str, placement: str) -> None:
    with refusing("parameters"):
        kind, options = parse_call(placement, "parameters")
    fits = kind in _PLACEMENTS and (not options or (kind == "sharded" and set(options) == {"axis"}))
    if not fits or not isinstance(options.get("axis", 0), int):
        allowed = "'replicated', 'sharded' or 'sharded(axis=N)'"
        raise ArgumentError("parameters", f"has the placement {placement!r} but it must be {allowed}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ArgumentError("parameters", f"has {pattern!r}, which is no regular expression: {error}") from error
