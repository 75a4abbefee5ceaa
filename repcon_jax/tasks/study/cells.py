"""What a study measures: every measurement of every network or pair of them, on every target, seed by seed."""

import dataclasses
import itertools
from collections.abc import Collection, Mapping

from repcon_jax.probing import EMBEDDING
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.networks import BySeed, Seed, all_seeds, of_seed
from repcon_jax.tasks.study.targets import draws_of


@dataclasses.dataclass(frozen=True)
class Cell:
    """One thing to measure.

    Args:
        measurement: its name.
        names: of the networks.
        target: its name; None for a measurement without one.
        shots: training examples of each class; None for all.
        draw: number of the draw.
        layer: whose outputs are read; None for the embedding, and where no features are read.
        seed: of the networks; None where all of them stand beside every seed.
    """

    measurement: str
    names: tuple[str, ...]
    target: str | None
    shots: int | None
    draw: int
    layer: str | None
    seed: Seed


def cells_of(config: StudyConfig, networks: dict[str, BySeed], layers: Mapping[str, Collection[str]]) -> list[Cell]:
    """Everything that is measured, target by target within a seed, so that features are shared.

    Args:
        config: of the study.
        networks: by name and seed.
        layers: names of those of every network; what a network lacks is not measured.
    """
    cells: dict[Cell, None] = {}  # single networks are met again with every seed, but measured once
    for seed, target in itertools.product(all_seeds(networks.values()), (None, *config.targets)):
        for name, measurement in config.built_measurements().items():
            if measurement.has_target == (target is None):
                continue
            for names in itertools.combinations(config.all_networks, 1 if measurement.of == "network" else 2):
                if any(of_seed(networks[one], seed) is None for one in names):
                    continue
                own = seed if any(seed in networks[one] for one in names) else None
                read = [layer for layer in config.layers if all(layer in layers[one] for one in names)]
                read = read if measurement.reads_features else [EMBEDDING]
                for (shots, draw), layer in itertools.product(draws_of(config, measurement), read):
                    cells[Cell(name, names, target, shots, draw, None if layer == EMBEDDING else layer, own)] = None
    return list(cells)
