"""What all measurements of a study share: data, features and merged networks, each computed once, and the devices."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType
from jaxtyping import Array, Float, UInt8

from repcon_jax.data import Dataset
from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.landscape.evaluation import calibration_batches
from repcon_jax.models import Network, describe
from repcon_jax.models.recalibration import recalibrate
from repcon_jax.probing import EMBEDDING, extract_features
from repcon_jax.random import stream
from repcon_jax.run.references import Loaded
from repcon_jax.tasks.study.cells import Cell
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.feature_store import FeatureStore
from repcon_jax.tasks.study.subject import Kind, Part, Subject
from repcon_jax.tasks.study.targets import Target, data_digest
from repcon_jax.training.checkpoints import tree_digest

# Bytes of features and merged networks that are kept; the ones that were not read for longest go first.
_REMEMBERED = 2**31


class StudyBench:
    """Makes subjects of cells.

    Args:
        config: of the study.
        targets: by name.
        store: keeps features.
    """

    def __init__(self, config: StudyConfig, targets: dict[str, Target], store: FeatureStore) -> None:
        """Nothing is computed yet."""
        self._config, self._targets, self._store = config, targets, store
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
        networks = tuple(self._on_target(one, cell.target) for one in loaded)

        def outputs(which: int, kind: Kind, part: Part) -> Float[Array, "examples size"]:
            if part == "train" and not drawn.size:
                raise ValueError(f"measurement {cell.measurement!r} reads training examples; let it declare that need")
            layer = (cell.layer or EMBEDDING) if kind == "features" else None
            about = loaded[which].name, loaded[which].digest, cell.target, layer, part
            computed = self._once(about, lambda: self._outputs(cell, which, networks[which], layer, part))
            return computed if part == "test" else computed[np.searchsorted(target.pool, drawn)]

        return Subject(networks, target.splits, drawn, key, outputs, config.batch_size)

    def _on_target(self, one: Loaded, target: str) -> Network:
        """A network; an averaged one with batch norm statistics that are measured anew on the target."""
        if not one.averaged or not jax.tree.leaves(one.network.model_state):
            return one.network
        config = self._config

        def recalibrated() -> Network:
            images, key = self._targets[target].splits.train.images, stream(jax.random.key(config.seed), "calibration")
            batches = calibration_batches(images, config.recalibration_examples, config.batch_size, key)
            return _recalibrate(one.network, batches)

        return self._once((one.name, one.digest, target), recalibrated)

    def _outputs(
        self, cell: Cell, which: int, network: Network, layer: str | None, part: Part
    ) -> Float[Array, "examples size"]:
        """The outputs of a layer, or of the head where it is None, for all examples of a part that are ever read."""
        examples = self._targets[cell.target].examples(part)
        if layer is None:
            return self._logits(network, examples)
        size, pooling = self._config.batch_size, self._config.pooling
        about = {
            "network": tree_digest((network.params, network.model_state)),
            "model": describe(network.model),
            "pixels": str(network.pixels),
            "data": data_digest(examples),
            "layer": layer,
            "pooling": pooling,
            "batch_size": size,
        }
        compute = partial(extract_features, network.encoder, examples.images, size, self._mesh, layer, pooling)
        # A model without an origin may compute anything with the same parameters.
        features = self._store.features(about, compute) if about["model"] else compute()
        finite = np.isfinite(np.asarray(features)).all(axis=1)
        if not finite.all():
            raise ConfigError(
                f"networks.{cell.names[which]} gives NaN or infinite features in layer {layer!r} for "
                f"{(~finite).sum()} of {len(finite)} {part} examples of targets.{cell.target}; train it again with a "
                "lower learning rate, or drop it."
            )
        return features

    def _logits(self, network: Network, examples: Dataset) -> Float[Array, "examples size"]:
        size = self._config.batch_size
        outputs = [_logits(network, examples.images[i : i + size]) for i in range(0, len(examples), size)]
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
