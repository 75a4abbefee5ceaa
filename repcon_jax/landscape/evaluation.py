"""Metrics at many points of parameter space in one compiled program, spread over devices.

A point is a coordinate; a surface (a path, a plane) says which network lies there. Networks are made where they are
evaluated and never stored, batches are the outer loop, so that the reference is evaluated once for all points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import struct
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from repcon_jax.data import to_float
from repcon_jax.errors import ArgumentError
from repcon_jax.landscape.metric import ExampleMetric, Metric, ParameterMetric, ProbeMetric
from repcon_jax.models import Model, Network, Outputs, Pixels
from repcon_jax.models.recalibration import recalibrate
from repcon_jax.random import stream
from repcon_jax.typing import Key, ModelState, Params, PyTree

Locate = Callable[[PyTree, Array], tuple[Params, ModelState]]
BatchNorm = Literal["recalibrated", "interpolated", "first"]
Values = dict[str, Float[Array, " points"]]


@struct.dataclass
class Split:
    """Examples on which networks are evaluated.

    Args:
        images: uint8 [examples, height, width, channels].
        labels: int32 [examples], or None.
    """

    images: PyTree
    labels: PyTree


@struct.dataclass
class LandscapeData:
    """What every point is measured on.

    Args:
        splits: by name; probes are fitted on ``train`` and scored on ``test``.
        calibration: uint8 [batches, batch, height, width, channels], for batch norm statistics.
        reference: network with which outputs are compared, of whatever architecture and input size; or None.
        key: of the probes; the same at every point.
    """

    splits: dict[str, Split]
    calibration: PyTree
    reference: Network | None
    key: PyTree


@dataclass(frozen=True)
class Evaluation:
    """How points are measured; ``evaluate(surface, data, coordinates)`` is pure and may be jitted.

    Args:
        model: encoder with head of every point.
        pixels: what they expect of images in [0, 1].
        locate: surface, coordinate [dimensions] -> (params, model state) of the network there.
        metrics: by the text that names each in the results.
        batch_norm: ``"recalibrated"`` measures the statistics at every point; otherwise those of ``locate`` stand.
        num_classes: of the labels.
        batch_size: examples per batch.
        measured_on: splits on which example metrics are measured.
        vectorised: points that a device evaluates at once; 1 is one after the other.
        mesh: devices over all of which the points are spread; None for one.
    """

    model: Model
    pixels: Pixels | None
    locate: Locate
    metrics: tuple[tuple[str, Metric], ...]
    batch_norm: BatchNorm = "recalibrated"
    num_classes: int = 0
    batch_size: int = 256
    measured_on: tuple[str, ...] = ("train",)
    vectorised: int = 1
    mesh: Mesh | None = None

    def evaluate(self, surface: PyTree, data: LandscapeData, coordinates: Float[Array, "points dimensions"]) -> Values:
        """Every metric at every coordinate: {name: [points]}.

        Args:
            surface: first argument of ``locate``.
            data: what is measured on.
            coordinates: [points, dimensions]; with a mesh, a multiple of its devices.
        """
        check_needs(self.metrics, data)
        if self.mesh is None:
            return self._evaluate(surface, data, coordinates)
        points = PartitionSpec(self.mesh.axis_names)
        run = jax.shard_map(
            self._evaluate,
            mesh=self.mesh,
            in_specs=(PartitionSpec(), PartitionSpec(), points),
            out_specs=points,
            check_vma=False,
        )
        return run(surface, data, coordinates)

    def _evaluate(self, surface: PyTree, data: LandscapeData, coordinates: Array) -> Values:
        states = self._over_points(partial(self._state_at, surface, data), coordinates)
        values: Values = {}
        embeddings = {}
        for name in self._splits():
            means, embeddings[name] = self._on_split(surface, data, data.splits[name], coordinates, states)
            if name in self.measured_on:
                values |= {f"{name}/{metric}": mean for metric, mean in means.items()}
        values |= self._probes(data, embeddings)
        return values | self._of_parameters(surface, coordinates)

    def _splits(self) -> tuple[str, ...]:
        """The splits whose outputs are needed."""
        measured = self.measured_on if self._of_kind(ExampleMetric) else ()
        return tuple(dict.fromkeys((*measured, *(("train", "test") if self._of_kind(ProbeMetric) else ()))))

    def _of_kind(self, kind: type) -> dict[str, Any]:
        return {name: metric for name, metric in self.metrics if isinstance(metric, kind)}

    def _over_points(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function at every point, as many at once as ``vectorised`` says."""
        count = jax.tree.leaves(arguments)[0].shape[0]
        size = min(self.vectorised, count)
        if size == count and count > 1:
            return jax.vmap(function)(*arguments)
        return jax.lax.map(lambda row: function(*row), arguments, batch_size=None if size == 1 else size)

    def _network_at(self, surface: PyTree, coordinate: Array) -> Network:
        return Network(*self.locate(surface, coordinate), self.model, self.pixels)

    def _state_at(self, surface: PyTree, data: LandscapeData, coordinate: Array) -> ModelState:
        network = self._network_at(surface, coordinate)
        if self.batch_norm == "recalibrated":
            network = recalibrate(network, data.calibration)
        return network.model_state

    def _on_split(
        self, surface: PyTree, data: LandscapeData, split: Split, coordinates: Array, states: ModelState
    ) -> tuple[Values, Float[Array, "points examples size"] | None]:
        """Means of the example metrics, and the embeddings where a probe needs them."""
        count = split.images.shape[0]
        size = min(self.batch_size, count)
        rows = jnp.minimum(jnp.arange(-(-count // size) * size), count - 1).reshape(-1, size)
        metrics, keep = self._of_kind(ExampleMetric), bool(self._of_kind(ProbeMetric))

        def on_batch(chosen: Int[Array, " batch"]) -> tuple[dict[str, Array], Array | None]:
            images = to_float(split.images[chosen])
            labels = None if split.labels is None else split.labels[chosen]
            reference = self._reference(data, images)

            def at_point(coordinate: Array, state: ModelState) -> tuple[dict[str, Array], Array | None]:
                outputs, _ = self._network_at(surface, coordinate).replace(model_state=state).apply(images)
                values = {name: metric.values(reference, outputs, labels) for name, metric in metrics.items()}
                return values, outputs.embedding if keep else None

            return self._over_points(at_point, coordinates, states)

        values, embeddings = jax.lax.map(on_batch, rows)
        return {name: jnp.mean(_joined(v, count), axis=1) for name, v in values.items()}, (
            _joined(embeddings, count) if keep else None
        )

    def _reference(self, data: LandscapeData, images: Array) -> Outputs | None:
        """The reference's outputs, unless no metric reads them."""
        if not any("reference" in metric.needs for _, metric in self.metrics):
            return None
        return data.reference.apply(images)[0]

    def _probes(self, data: LandscapeData, embeddings: dict[str, Any]) -> Values:
        def probe(metric: ProbeMetric, train: Array, test: Array) -> Array:
            labels = [data.splits[name].labels for name in ("train", "test")]
            fit_and_score = metric.probe.fit_and_score
            return fit_and_score(train, labels[0], test, labels[1], self.num_classes, stream(data.key, "probe"))[0]

        return {
            name: self._over_points(partial(probe, metric), embeddings["train"], embeddings["test"])
            for name, metric in self._of_kind(ProbeMetric).items()
        }

    def _of_parameters(self, surface: PyTree, coordinates: Array) -> Values:
        metrics = self._of_kind(ParameterMetric)

        def at_point(coordinate: Array) -> dict[str, Array]:
            params, _ = self.locate(surface, coordinate)
            return {name: metric.value(params) for name, metric in metrics.items()}

        return self._over_points(at_point, coordinates) if metrics else {}


def _joined(values: Float[Array, "batches points batch ..."], count: int) -> Float[Array, "points examples ..."]:
    """Batches put together again, without what filled up the last one."""
    moved = jnp.moveaxis(values, 0, 1)
    return moved.reshape(moved.shape[0], -1, *moved.shape[3:])[:, :count]


def check_needs(metrics: tuple[tuple[str, Metric], ...], data: LandscapeData) -> None:
    """Raises ArgumentError where a metric needs labels or a reference that the data lacks."""
    for name, metric in metrics:
        if "labels" in metric.needs and any(split.labels is None for split in data.splits.values()):
            problem = f"has {name!r}, which needs labels, but the data has none"
            raise ArgumentError("metrics", problem, "drop it or choose labelled data")
        if "reference" in metric.needs and data.reference is None:
            problem = f"has {name!r}, which compares with a reference network, but there is none"
            raise ArgumentError("metrics", problem, "drop it or name a reference")


def calibration_batches(images: Any, examples: int, batch_size: int, key: Key) -> Any:
    """Images drawn without replacement and cut into full batches: uint8 [batches, batch, height, width, channels].

    Args:
        images: uint8 [examples, height, width, channels].
        examples: how many at most.
        batch_size: of each batch; a smaller data set is one batch.
        key: of the choice.
    """
    size = min(batch_size, images.shape[0])
    batches = max(1, min(examples, images.shape[0]) // size)
    chosen = jax.random.permutation(key, images.shape[0])[: batches * size]
    return jnp.asarray(images)[chosen].reshape(batches, size, *images.shape[1:])
