"""Every cell of a study as rows; what is known is read."""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from repcon_jax.errors import ArgumentError, ConfigError, did_you_mean
from repcon_jax.machine.stopping import Stopped
from repcon_jax.probing import EMBEDDING, layer_names
from repcon_jax.run.networks import describe_network
from repcon_jax.run.references import Loaded
from repcon_jax.tasks.study.bench import StudyBench
from repcon_jax.tasks.study.cells import Cell, cells_of
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.feature_store import FeatureStore
from repcon_jax.tasks.study.measurements import Measurement, Reading
from repcon_jax.tasks.study.networks import BySeed, of_seed
from repcon_jax.tasks.study.rows import Row, RowStore
from repcon_jax.tasks.study.subject import Subject
from repcon_jax.tasks.study.targets import Target


def measure_all(
    config: StudyConfig,
    networks: dict[str, BySeed],
    targets: dict[str, Target],
    store: RowStore,
    features: FeatureStore,
    stop_requested: Callable[[], int],
) -> list[Row]:
    """All rows of a study; what an earlier start measured is read.

    Args:
        config: of the study.
        networks: by name and seed.
        targets: by name.
        store: keeps the rows.
        features: keeps features.
        stop_requested: the signal that asked to stop, or 0.
    Raises:
        Stopped: the study was asked to stop; what was measured is kept.
        ConfigError: a network cannot take a target's images, or an option of a measurement does not fit the data.
    """
    _check_channels(networks, targets)
    built, bench = config.built_measurements(), StudyBench(config, targets, features)
    cells, rows = cells_of(config, networks, _layers(config, networks, targets)), []
    with tqdm(total=len(cells), unit="cell", dynamic_ncols=True) as bar:
        for cell in cells:
            loaded = tuple(of_seed(networks[name], cell.seed) for name in cell.names)
            about = _about(config, cell, loaded, targets.get(cell.target))
            known = store.rows(about)
            if known is None:
                if number := stop_requested():
                    raise Stopped(number)
                began = time.monotonic()
                measured = _measure(config, built[cell.measurement], cell, bench.subject(cell, loaded))
                known = [{**row, "seconds": round(time.monotonic() - began, 4)} for row in measured]
                store.add(about, known)
            rows += known
            bar.update()
    return rows


def _check_channels(networks: dict[str, BySeed], targets: dict[str, Target]) -> None:
    """Checks that every network can take every target's images, which it resizes and turns grey or coloured itself."""
    for (name, by_seed), (target, data) in itertools.product(networks.items(), targets.items()):
        images = jax.ShapeDtypeStruct((1, *data.splits.train.images.shape[1:]), np.uint8)
        pixels = next(iter(by_seed.values())).network.pixels
        if pixels is None:
            continue
        try:
            jax.eval_shape(pixels, images)
        except ValueError as error:
            raise ConfigError(
                f"targets.{target} has images of {images.shape[-1]} channels but networks.{name} takes "
                f"{pixels.channels}; choose other data or drop the network."
            ) from error


def _layers(config: StudyConfig, networks: dict[str, BySeed], targets: dict[str, Target]) -> dict[str, tuple[str, ...]]:
    """The layers of every network; each that the study names is one of some network's."""
    if not targets or config.layers == (EMBEDDING,):
        return dict.fromkeys(networks, (EMBEDDING,))
    shape = next(iter(targets.values())).splits.train.images.shape[1:]
    one_of_each = {name: next(iter(by_seed.values())).network.encoder for name, by_seed in networks.items()}
    layers = {name: layer_names(network, shape) for name, network in one_of_each.items()}
    known = dict.fromkeys(layer for names in layers.values() for layer in names)
    for layer in config.layers:
        if layer not in known:
            raise ConfigError(f"layers names {layer!r}, which no network has; {did_you_mean(layer, known)}.")
    return layers


def _measure(config: StudyConfig, measurement: Measurement, cell: Cell, subject: Subject) -> list[Row]:
    try:
        values = measurement.measure(subject) or {}
    except ArgumentError as error:
        field = f"measurements.{cell.measurement}"
        raise ConfigError(
            f"{field} has {config.measurements[cell.measurement]!r}, which does not fit {' and '.join(cell.names)} on "
            f"{cell.target}: {error}"
        ) from error
    labels = {**dataclasses.asdict(cell), "networks": list(cell.names)}
    del labels["names"]
    readings = {name: value if isinstance(value, Reading) else Reading(value) for name, value in values.items()}
    return [{**labels, "score": name, **_plain(reading)} for name, reading in readings.items()]


def _plain(reading: Reading) -> dict[str, Any]:
    """Value and details as JSON values."""
    value, details = reading.value if math.isfinite(reading.value) else None, dict(reading.details)
    for name, detail in details.items():
        number = detail.item() if hasattr(detail, "item") else detail
        details[name] = None if isinstance(number, float) and not math.isfinite(number) else number
    return {"value": value, "details": details}


def _about(config: StudyConfig, cell: Cell, loaded: tuple[Loaded, ...], target: Target | None) -> dict[str, Any]:
    """All that the values of a cell depend on."""
    return {
        **dataclasses.asdict(cell),
        "measured": config.measurements[cell.measurement],
        "networks": [(one.digest, describe_network(one.network, (0, 0))) for one in loaded],
        "data": None if target is None else target.digests,
        "pooling": config.pooling,
        "rounded": config.feature_cache == "float16",
        "test_examples": config.test_examples,
        "recalibration_examples": config.recalibration_examples,
        "batch_size": config.batch_size,
        "study_seed": config.seed,
    }
