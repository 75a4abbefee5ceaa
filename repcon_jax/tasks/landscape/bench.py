"""The workbench of an analysis: networks, data, and the values of metrics along a surface."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from tqdm import tqdm

from repcon_jax.data import Dataset, Splits, prepare_splits, stratified_subset
from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.landscape.evaluation import (
    Evaluation,
    LandscapeData,
    Locate,
    Split,
    calibration_batches,
    check_needs,
)
from repcon_jax.landscape.metric import Metric, build_metric, scores_of
from repcon_jax.machine.stopping import Stopped
from repcon_jax.models import Network
from repcon_jax.random import stream
from repcon_jax.records.scores import Score
from repcon_jax.run.planning import memory_limit
from repcon_jax.run.references import Loaded, config_of, expand, load_reference
from repcon_jax.tasks.landscape.config import LandscapeConfig
from repcon_jax.tasks.landscape.store import PointStore
from repcon_jax.trees import check_same_shapes
from repcon_jax.typing import PyTree

# Points between two saves on a device that evaluates them one after the other.
_SEQUENTIAL_CHUNK = 8
_MOST_VECTORISED = 64


@dataclasses.dataclass(frozen=True)
class LandscapeBench:
    """What an analysis works with.

    Args:
        config: of the landscape.
        workdir: where values are kept.
        template: a network like all that are measured, with shapes for arrays.
        networks: by reference; the one that others are compared with may be unlike them.
        data: what they are measured on.
        num_classes: of the labels; 0 without labels.
        mesh: all devices; None for a single one.
        say: receives lines for the user.
        stop_requested: the signal that asked to stop, or 0.
        programs: compiled so far, by what they were compiled for.
    """

    config: LandscapeConfig
    workdir: pathlib.Path
    template: Network
    networks: dict[str, Loaded]
    data: LandscapeData
    num_classes: int
    mesh: Mesh | None
    say: Callable[[str], None]
    stop_requested: Callable[[], int]
    programs: dict[Any, Any] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> jax.Array:
        """Of everything random in an analysis."""
        return jax.random.key(self.config.seed)

    def expanded(self, reference: str) -> list[str]:
        """What a reference stands for, see ``repcon_jax.run.references.expand``."""
        return expand(reference, self.config.runs)

    def network(self, reference: str) -> Loaded:
        """The network that a reference stands for.

        Raises:
            ConfigError: it stands for several.
        """
        return self.networks[_single(reference, self.config)]

    @property
    def batch_norm(self) -> str:
        """What was done about batch norm statistics, for the results."""
        has_statistics = any(jax.tree.leaves(loaded.network.model_state) for loaded in self.networks.values())
        return self.config.batch_norm if has_statistics else "none in this model"

    def scores(self) -> dict[str, Score]:
        """What all metrics mean, by their names in the results, such as ``train/error`` and ``knn``."""
        return scores_of(self.config.metrics, self.config.measured_on)

    def values(
        self, name: str, about: dict[str, Any], locate: Locate, surface: PyTree, coordinates: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Every metric at every coordinate, {name: [points]}; what an earlier start measured is read.

        Args:
            name: of the file in which the values are kept.
            about: what the surface depends on, as JSON values.
            locate, surface: see ``Evaluation``.
            coordinates: [points, dimensions].
        Raises:
            Stopped: the run was asked to stop; what was measured is kept.
        """
        reference = self.config.reference
        about = {**about, "reference": reference and self.network(reference).digest}
        store = PointStore(self.workdir / "values" / f"{name}.jsonl", about)
        metrics = list(self.scores())
        missing = store.missing(coordinates, metrics)
        if len(missing):
            surface = _on_all(self.mesh, surface)
            chunk, program = self._program(locate, surface, missing)
            self._measure(name, store, chunk, program, surface, missing)
        return store.values(coordinates, metrics)

    def _measure(
        self, name: str, store: PointStore, chunk: int, program: Any, surface: PyTree, coordinates: np.ndarray
    ) -> None:
        with tqdm(total=len(coordinates), desc=name, unit="point", dynamic_ncols=True) as bar:
            for begin in range(0, len(coordinates), chunk):
                if number := self.stop_requested():
                    raise Stopped(number)
                part = coordinates[begin : begin + chunk]
                filled = np.concatenate([part, np.repeat(part[-1:], chunk - len(part), axis=0)])
                columns = program(surface, self.data, jnp.asarray(filled, jnp.float32))
                store.add(part, {metric: np.asarray(column)[: len(part)] for metric, column in columns.items()})
                bar.update(len(part))

    def _program(self, locate: Locate, surface: PyTree, coordinates: np.ndarray) -> tuple[int, Any]:
        """Points of a call, and the compiled program."""
        count, dimensions = coordinates.shape
        devices = 1 if self.mesh is None else self.mesh.size
        most = -(-count // devices)
        if self._is_sequential():
            chunk = devices * min(_SEQUENTIAL_CHUNK, most)
            return chunk, self._compiled(locate, 1, surface, (chunk, dimensions))
        vectorised = min(_MOST_VECTORISED, most)
        limit = memory_limit(self.config.mesh)
        while True:
            program = self._compiled(locate, vectorised, surface, (devices * vectorised, dimensions))
            need = _bytes(program)
            if limit is None or need <= limit or vectorised == 1:
                break
            vectorised = max(1, min(vectorised - 1, int(vectorised * limit / need)))
        if vectorised < min(_MOST_VECTORISED, most):
            self.say(
                f"{count} points do not fit into memory at once ({need / 1e9:.1f} GB of a device for {vectorised}): "
                f"measured in chunks of {devices * vectorised}."
            )
        return devices * vectorised, program

    def _compiled(self, locate: Locate, vectorised: int, surface: PyTree, shape: tuple[int, int]) -> Any:
        kind = locate, vectorised, jax.tree.structure(surface), shape
        if kind not in self.programs:
            evaluate = jax.jit(self._evaluation(locate, vectorised).evaluate)
            coordinates = jax.ShapeDtypeStruct(shape, jnp.float32)
            self.programs[kind] = evaluate.lower(surface, self.data, coordinates).compile()
        return self.programs[kind]

    def _is_sequential(self) -> bool:
        chosen = self.config.mesh.members
        return jax.default_backend() == "cpu" if chosen == "auto" else chosen == "sequential"

    def _evaluation(self, locate: Locate, vectorised: int) -> Evaluation:
        return Evaluation(
            model=self.template.model,
            pixels=self.template.pixels,
            locate=locate,
            metrics=_metrics(self.config),
            batch_norm=self.config.batch_norm,
            num_classes=self.num_classes,
            batch_size=self.config.batch_size,
            measured_on=self.config.measured_on,
            vectorised=vectorised,
            mesh=self.mesh,
        )


def build_bench(
    config: LandscapeConfig,
    workdir: pathlib.Path,
    references: list[str],
    curves: tuple[str, ...],
    say: Callable[[str], None],
    stop_requested: Callable[[], int],
) -> LandscapeBench:
    """Loads networks and data.

    Args:
        config: of the landscape.
        workdir: its work directory, whose runs are trained.
        references: of the networks, see ``all_references``; the first says on which data they are measured.
        curves: references of trained curves.
        say, stop_requested: see ``LandscapeBench``.
    Raises:
        UserError: a checkpoint is missing, networks differ in shape, or a metric needs labels or a reference that are
            not there.
    """
    splits = prepare_splits(config_of(references[0], config.runs).data)
    networks = {name: load_reference(name, workdir, config.runs) for name in (*references, *curves)}
    template = jax.eval_shape(lambda network: network, networks[references[0]].network)
    check_same_shapes({name: networks[name].network.params for name in references})
    for name in curves:
        bends = networks[name].network.params
        check_same_shapes({references[0]: template.params, name: jax.tree.map(lambda leaf: leaf[0], bends)})
    reference = None
    if config.reference:
        name = _single(config.reference, config)
        if name not in networks:  # it may be of another architecture
            networks[name] = load_reference(name, workdir, config.runs)
        reference = networks[name].network
    data = _data(config, splits, reference)
    mesh = None
    if len(jax.devices()) > 1:
        mesh = jax.make_mesh((len(jax.devices()),), ("points",), (AxisType.Auto,))
    data = _on_all(mesh, data)
    return LandscapeBench(
        config, workdir, template, networks, data, splits.train.num_classes, mesh, say, stop_requested
    )


def all_references(references: Iterable[str], config: LandscapeConfig) -> list[str]:
    """References with stars written out, each once.

    Args:
        references: as an analysis names them.
        config: of the landscape.

    Raises:
        ConfigError: one names what does not exist.
    """
    return list(dict.fromkeys(name for reference in references for name in expand(reference, config.runs)))


def _single(reference: str, config: LandscapeConfig) -> str:
    names = expand(reference, config.runs)
    if len(names) > 1:
        raise ConfigError(
            f"reference {reference!r} stands for {len(names)} networks where one is needed; name a member."
        )
    return names[0]


def _metrics(config: LandscapeConfig) -> tuple[tuple[str, Metric], ...]:
    return tuple((text, build_metric(text)) for text in config.metrics)


def _data(config: LandscapeConfig, splits: Splits, reference: Network | None) -> LandscapeData:
    """What every point is measured on; refuses what the metrics cannot be measured on."""
    parts = {"train": _part(splits.train, config.train_examples, config.seed)}
    if splits.test is not None:
        parts["test"] = _part(splits.test, config.test_examples, config.seed)
    if missing := set(config.measured_on) - parts.keys():
        raise ConfigError(f"measured_on is {config.measured_on} but the data has no part {missing}; drop it.")
    key = jax.random.key(config.seed)
    data = LandscapeData(
        splits={name: _on_device(part) for name, part in parts.items()},
        calibration=calibration_batches(
            splits.train.images, config.recalibration_examples, config.batch_size, stream(key, "calibration")
        ),
        reference=reference,
        key=stream(key, "probe"),
    )
    try:
        check_needs(_metrics(config), data)
    except ArgumentError as error:
        raise error.within("") from error
    return data


def _on_all(mesh: Mesh | None, tree: PyTree) -> PyTree:
    """The tree on every device, so that it is sent there once and not with every chunk."""
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def _bytes(program: Any) -> int:
    memory = program.memory_analysis()
    return memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes


def _part(dataset: Dataset, examples: int | None, seed: int) -> Dataset:
    if examples is None or examples >= len(dataset):
        return dataset
    if dataset.labels is None:
        chosen = np.random.default_rng(seed).permutation(len(dataset))[:examples]
        return dataset.take(np.sort(chosen).astype(np.int32))
    return stratified_subset(dataset, examples, seed)


def _on_device(part: Dataset) -> Split:
    labels = None if part.labels is None else jnp.asarray(part.labels, jnp.int32)
    return Split(jnp.asarray(part.images), labels)
