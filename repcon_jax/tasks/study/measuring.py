"""Every measurement of every network or pair on every target, as rows."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType
from jaxtyping import Int32
from tqdm import tqdm

from repcon_jax.data import Dataset, Splits, prepare_splits, stratified_subset
from repcon_jax.errors import ConfigError
from repcon_jax.machine.stopping import Stopped
from repcon_jax.models import Network
from repcon_jax.models.recalibration import recalibrate
from repcon_jax.options.schema import to_dict
from repcon_jax.probing import extract_features
from repcon_jax.random import stream
from repcon_jax.run.references import Loaded
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.measurements import Measurement
from repcon_jax.tasks.study.networks import BySeed, Seed, all_seeds, of_seed
from repcon_jax.tasks.study.rows import Row, RowStore
from repcon_jax.tasks.study.subject import Subject

# Embeddings of so many networks and parts of the data are kept at once, for the measurements of one target.
_REMEMBERED = 8


@dataclasses.dataclass(frozen=True)
class Cell:
    """One thing to measure.

    Args:
        measurement: its name.
        names: of the networks.
        target: its name; None for a measurement without one.
        shots: training examples of each class; None for all.
        draw: number of the draw.
        seed: of the networks.
    """

    measurement: str
    names: tuple[str, ...]
    target: str | None
    shots: int | None
    draw: int
    seed: Seed


def cells_of(config: StudyConfig, networks: dict[str, BySeed]) -> list[Cell]:
    """Everything that is measured: seed by seed and target by target, so that embeddings are shared."""
    built, cells = config.built_measurements(), {}
    for seed, target in itertools.product(all_seeds(networks), (None, *config.targets)):
        for name, measurement in built.items():
            if measurement.has_target == (target is None):
                continue
            for names in itertools.combinations(config.all_networks, 1 if measurement.of == "network" else 2):
                if any(of_seed(networks[n], seed) is None for n in names):
                    continue
                # Networks that stand beside every seed are measured once.
                own = seed if any(seed in networks[n] for n in names) else None
                for shots, draw in _draws(config, measurement):
                    cells[Cell(name, names, target, shots, draw, own)] = None
    return list(cells)


def _draws(config: StudyConfig, measurement: Measurement) -> list[tuple[int | None, int]]:
    if "training" not in measurement.needs or not config.shots:
        return [(None, 0)]
    return list(itertools.product(config.shots, range(config.draws)))


def measure_all(
    config: StudyConfig,
    networks: dict[str, BySeed],
    store: RowStore,
    stop_requested: Callable[[], int],
) -> list[Row]:
    """All rows of a study; what an earlier start measured is read.

    Args:
        config: of the study.
        networks: by name and seed.
        store: keeps the rows.
        stop_requested: the signal that asked to stop, or 0.
    Raises:
        Stopped: the study was asked to stop; what was measured is kept.
        ConfigError: a target lacks what a measurement reads.
    """
    built = config.built_measurements()
    bench = _Bench(config)
    cells, rows = cells_of(config, networks), []
    with tqdm(total=len(cells), unit="cell", dynamic_ncols=True) as bar:
        for cell in cells:
            if number := stop_requested():
                raise Stopped(number)
            loaded = tuple(of_seed(networks[name], cell.seed) for name in cell.names)
            about = _about(config, cell, loaded)
            if store.rows(about) is None:
                measurement = built[cell.measurement]
                store.add(about, _rows(cell, measurement.measure(bench.subject(cell, loaded, measurement))))
            rows += store.rows(about)
            bar.update()
    return rows


def _rows(cell: Cell, values: dict[str, float] | None) -> list[Row]:
    labels = dataclasses.asdict(cell)
    names = list(labels.pop("names"))
    return [{**labels, "networks": names, "score": score, "value": value} for score, value in (values or {}).items()]


def _about(config: StudyConfig, cell: Cell, loaded: tuple[Loaded, ...]) -> dict[str, Any]:
    """All that the values of a cell depend on."""
    target = to_dict(config.targets[cell.target]) if cell.target else None
    return {
        **dataclasses.asdict(cell),
        "measured": config.measurements[cell.measurement],
        "digests": [one.digest for one in loaded],
        "target_config": target,
        "test_examples": config.test_examples,
        "recalibration_examples": config.recalibration_examples,
        "study_seed": config.seed,
    }


class _Bench:
    """What all measurements share: data that is loaded once, embeddings that are computed once, and the devices."""

    def __init__(self, config: StudyConfig) -> None:
        self._config = config
        self._splits: dict[str, Splits] = {}
        self._embeddings: dict[tuple[str, ...], jax.Array] = {}
        devices, axes = len(jax.devices()), (AxisType.Auto, AxisType.Auto)
        self._mesh = jax.make_mesh((1, devices), ("member", "data"), axes) if devices > 1 else None

    def subject(self, cell: Cell, loaded: tuple[Loaded, ...], measurement: Measurement) -> Subject:
        """What a measurement sees of a cell."""
        config = self._config
        key = stream(jax.random.key(config.seed), f"{cell.target} {cell.shots}", cell.draw)
        if cell.target is None:
            networks = tuple(one.network for one in loaded)
            return Subject(networks, None, np.arange(0, dtype=np.int32), key, _no_target, _no_target, config.batch_size)
        splits = self._of_target(cell.target, measurement)

        def recalibrated(network: Network) -> Network:
            return on_target(network, splits.train, config.recalibration_examples, config.batch_size)

        networks = tuple(
            recalibrated(one.network) if name in config.merges else one.network
            for name, one in zip(cell.names, loaded, strict=True)
        )

        def extract(which: int, part: str) -> jax.Array:
            return self._extracted((loaded[which].digest, cell.target, part), networks[which], getattr(splits, part))

        drawn = draw_shots(splits.train, cell.shots, config.seed + cell.draw)
        return Subject(networks, splits, drawn, key, extract, recalibrated, config.batch_size)

    def _of_target(self, name: str, measurement: Measurement) -> Splits:
        if name not in self._splits:
            self._splits[name] = _limited(prepare_splits(self._config.targets[name]), self._config)
        splits = self._splits[name]
        if splits.test is None or (measurement.needs & {"labels", "training"} and splits.train.labels is None):
            raise ConfigError(
                f"targets.{name} is {self._config.targets[name].name!r}, which has no labelled test set, but a "
                "measurement needs one; choose other data."
            )
        return splits

    def _extracted(self, known_as: tuple[str, ...], network: Network, part: Dataset) -> jax.Array:
        if known_as not in self._embeddings:
            while len(self._embeddings) >= _REMEMBERED:
                del self._embeddings[next(iter(self._embeddings))]
            self._embeddings[known_as] = extract_features(
                network.encoder, part.images, self._config.batch_size, self._mesh
            )
        return self._embeddings[known_as]


def _no_target(*arguments: Any) -> Any:
    raise ValueError("this measurement has no target; let it declare that it needs one")


def _limited(splits: Splits, config: StudyConfig) -> Splits:
    test, most = splits.test, config.test_examples
    if test is None or most is None or most >= len(test):
        return splits
    few = np.arange(most, dtype=np.int32)
    test = test.take(few) if test.labels is None else stratified_subset(test, most, config.seed)
    return dataclasses.replace(splits, test=test)


def draw_shots(train: Dataset, shots: int | None, seed: int) -> Int32[np.ndarray, " drawn"]:
    """Indices of ``shots`` random examples of every class, ascending; all examples for None.

    Args:
        train: labelled, where a number is given.
        shots: of each class; classes that have fewer give all.
        seed: of the draw.
    """
    if shots is None:
        return np.arange(len(train), dtype=np.int32)
    random, labels = np.random.default_rng(seed), np.asarray(train.labels)
    chosen = [random.permutation(np.flatnonzero(labels == label))[:shots] for label in range(train.num_classes)]
    return np.sort(np.concatenate(chosen)).astype(np.int32)


def on_target(network: Network, train: Dataset, examples: int, batch_size: int) -> Network:
    """The network with batch norm statistics measured anew on training images; itself where it has none."""
    size = min(batch_size, len(train.images))
    count = max(1, min(examples, len(train.images)) // size)
    batches = train.images[: count * size].reshape(count, size, *train.images.shape[1:])
    return jax.jit(recalibrate)(network, jnp.asarray(batches))
