"""Every cell of a study as rows; what is known is read."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.machine.stopping import Stopped
from repcon_jax.options.schema import to_dict
from repcon_jax.run.networks import describe_network
from repcon_jax.run.references import Loaded
from repcon_jax.tasks.study.bench import StudyBench
from repcon_jax.tasks.study.cells import Cell, cells_of
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.measurements import Measurement
from repcon_jax.tasks.study.networks import BySeed, of_seed
from repcon_jax.tasks.study.rows import Row, RowStore
from repcon_jax.tasks.study.subject import Subject
from repcon_jax.tasks.study.targets import Target


def measure_all(
    config: StudyConfig,
    networks: dict[str, BySeed],
    targets: dict[str, Target],
    store: RowStore,
    stop_requested: Callable[[], int],
) -> list[Row]:
    """All rows of a study; what an earlier start measured is read.

    Args:
        config: of the study.
        networks: by name and seed.
        targets: by name.
        store: keeps the rows.
        stop_requested: the signal that asked to stop, or 0.
    Raises:
        Stopped: the study was asked to stop; what was measured is kept.
        ConfigError: a network cannot take a target's images, or an option of a measurement does not fit the data.
    """
    _check_channels(networks, targets)
    built, bench = config.built_measurements(), StudyBench(config, targets)
    cells, rows = cells_of(config, networks), []
    with tqdm(total=len(cells), unit="cell", dynamic_ncols=True) as bar:
        for cell in cells:
            loaded = tuple(of_seed(networks[name], cell.seed) for name in cell.names)
            about = _about(config, cell, loaded)
            known = store.rows(about)
            if known is None:
                if number := stop_requested():
                    raise Stopped(number)
                known = _measure(config, built[cell.measurement], cell, bench.subject(cell, loaded))
                store.add(about, known)
            rows += known
            bar.update()
    return rows


def _check_channels(networks: dict[str, BySeed], targets: dict[str, Target]) -> None:
    """Checks that every network can take every target's images, which it resizes and turns grey or coloured itself."""
    for (name, by_seed), (target, data) in itertools.product(networks.items(), targets.items()):
        images = jax.ShapeDtypeStruct((1, *data.splits.train.images.shape[1:]), np.uint8)
        pixels = next(iter(by_seed.values())).network.pixels
        try:
            jax.eval_shape(pixels, images)
        except ValueError as error:
            raise ConfigError(
                f"targets.{target} has images of {images.shape[-1]} channels but networks.{name} takes "
                f"{pixels.channels}; choose other data or drop the network."
            ) from error


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
    plain = {score: value if math.isfinite(value) else None for score, value in values.items()}
    return [{**labels, "score": score, "value": value} for score, value in plain.items()]


def _about(config: StudyConfig, cell: Cell, loaded: tuple[Loaded, ...]) -> dict[str, Any]:
    """All that the values of a cell depend on."""
    return {
        **dataclasses.asdict(cell),
        "measured": config.measurements[cell.measurement],
        "networks": [(one.digest, describe_network(one.network, (0, 0))) for one in loaded],
        "data": to_dict(config.targets[cell.target]) if cell.target else None,
        "test_examples": config.test_examples,
        "recalibration_examples": config.recalibration_examples,
        "batch_size": config.batch_size,
        "study_seed": config.seed,
    }
