"""What all measurements of a study share: data, embeddings and merged networks, each computed once, and the devices."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType
from jaxtyping import Array, Float, UInt8

from repcon_jax.data import Dataset
from repcon_jax.errors import ArgumentError
from repcon_jax.landscape.evaluation import calibration_batches
from repcon_jax.models import Network
from repcon_jax.models.recalibration import recalibrate
from repcon_jax.probing import extract_features
from repcon_jax.random import stream
from repcon_jax.run.references import Loaded
from repcon_jax.tasks.study.cells import Cell
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.subject import Kind, Part, Subject
from repcon_jax.tasks.study.targets import Target

# Bytes of embeddings and merged networks that are kept; the ones that were not read for longest go first.
_REMEMBERED = 2**31


class StudyBench:
    """Makes subjects of cells.

    Args:
        config: of the study.
        targets: by name.
    """

    def __init__(self, config: StudyConfig, targets: dict[str, Target]) -> None:
        """Nothing is computed yet."""
        self._config, self._targets = config, targets
        self._remembered: dict[tuple[Any, ...], Any] = {}
        devices, axes = len(jax.devices()), (AxisType.Auto, AxisType.Auto)
        self._mesh = jax.make_mesh((1, devices), ("member", "data"), axes) if devices > 1 else None

    def subject(self, cell: Cell, loaded: tuple[Loaded, ...]) -> Subject:
        """What a measurement sees of a cell.

        Args:
            cell: what is measured.
            loaded: its networks.
        """
        config, drawn = self._config, np.arange(0, dtype=np.int32)
        key = stream(jax.random.key(config.seed), f"{cell.target} {cell.shots}", cell.draw)
        if cell.target is None:
            return Subject(tuple(one.network for one in loaded), None, drawn, key, _no_outputs, config.batch_size)
        target = self._targets[cell.target]
        drawn = target.draws.get((cell.shots, cell.draw), drawn)
        named = zip(cell.names, loaded, strict=True)
        networks = tuple(self._on_target(name, one, cell.target) for name, one in named)

        def outputs(which: int, kind: Kind, part: Part) -> Float[Array, "examples size"]:
            if part == "train" and not drawn.size:
                raise ValueError(f"measurement {cell.measurement!r} reads training examples; let it declare that need")
            about = loaded[which].name, loaded[which].digest, cell.target, kind, part
            computed = self._once(about, lambda: self._outputs(networks[which], target.examples(part), kind))
            return computed if part == "test" else computed[np.searchsorted(target.pool, drawn)]

        return Subject(networks, target.splits, drawn, key, outputs, config.batch_size)

    def _on_target(self, name: str, one: Loaded, target: str) -> Network:
        """A network; a merged one with batch norm statistics that are measured anew on the target."""
        if name not in self._config.merges or not jax.tree.leaves(one.network.model_state):
            return one.network
        config = self._config

        def recalibrated() -> Network:
            images, key = self._targets[target].splits.train.images, stream(jax.random.key(config.seed), "calibration")
            batches = calibration_batches(images, config.recalibration_examples, config.batch_size, key)
            return _recalibrate(one.network, batches)

        return self._once((one.name, one.digest, target), recalibrated)

    def _outputs(self, network: Network, part: Dataset, kind: Kind) -> Float[Array, "examples size"]:
        size = self._config.batch_size
        if kind == "embedding":
            return extract_features(network.encoder, part.images, size, self._mesh)
        outputs = [_logits(network, part.images[i : i + size]) for i in range(0, len(part), size)]
        if isinstance(outputs[0], dict):
            raise ArgumentError("logits", f"are those of several heads ({', '.join(outputs[0])}) but must be of one")
        return jnp.concatenate(outputs)

    def _once(self, about: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
        value = self._remembered.pop(about) if about in self._remembered else compute()
        while self._remembered and _bytes([value, *self._remembered.values()]) > _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[about] = value
        return value


_recalibrate = jax.jit(recalibrate)


@jax.jit
def _logits(network: Network, images: UInt8[Array | np.ndarray, "batch h w c"]) -> Any:
    return network.apply(images)[0].logits


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _no_outputs(*about: Any) -> Any:
    raise ValueError("this measurement reads outputs but has no target; let it declare that need")
