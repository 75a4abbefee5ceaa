"""Mode connectivity of tickets: whether two trainings of one ticket end in one linear basin."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from repcon_jax.errors import check_range
from repcon_jax.landscape.barriers import barrier, barrier_over_mean
from repcon_jax.landscape.evaluation import BatchNorm, LandscapeData, Split, calibration_batches
from repcon_jax.landscape.lines import Walk, walk_between
from repcon_jax.models import Network
from repcon_jax.random import stream
from repcon_jax.records.files import read_json, write_json
from repcon_jax.records.results import spread
from repcon_jax.run.experiment import Experiment
from repcon_jax.run.seeded import started
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.chains import begin_of, end_of, experiment_of_round
from repcon_jax.tasks.lottery.studies import STUDIES, Study
from repcon_jax.tasks.lottery.tickets import Ticket

_METRICS = ("error", "supervised_loss")


@STUDIES.register("instability")
def instability(*, num_points: int = 11, batch_norm: BatchNorm = "recalibrated", seed_offset: int = 1000) -> Study:
    """Trains each ticket again from where its round began, with other data order and augmentation, and walks between.

    Error and loss along the straight line between the two trainings of a seed; masks are equal, so every network on
    the way has the ticket's mask. Barriers are given above the line between the ends and, as instability, above their
    mean.

    Args:
        num_points: on each line, ends included.
        batch_norm: running statistics on the way, see ``repcon_jax.tasks.landscape.config``.
        seed_offset: seed s is trained again with the data order of the seed s + seed_offset.

    Source: Frankle et al., arXiv 1912.05671, sections 2 and 4.
    """
    check_range("num_points", num_points, 3)
    check_range("seed_offset", seed_offset, 1, 2**30)

    def measure(bench: LotteryBench, name: str, tickets: list[Ticket]) -> list[dict[str, Any]]:
        walk = _walk(bench, batch_norm, num_points)
        entries = []
        for ticket in tickets:
            folder = bench.folder("studies", name, ticket.chain, ticket.number)
            other = _train_again(bench, folder, ticket, seed_offset)
            file = folder / "barriers.json"
            if not file.exists():
                write_json(file, _barriers(walk, batch_norm, end_of(ticket), other))
            entries.append(ticket.labels | read_json(file, "error"))
        return entries

    return Study("barrier", measure)


def _train_again(bench: LotteryBench, folder: pathlib.Path, ticket: Ticket, offset: int) -> dict[int, Network]:
    """What every seed ends with when it is trained with the data order of another."""
    seeds = {seed: seed + offset for seed in ticket.masks}
    experiment = _with_seeds(experiment_of_round(bench, ticket.chain, ticket.number), tuple(seeds.values()))
    bench.say(f"instability of {ticket.chain}, round {ticket.number}.")
    begin = begin_of(ticket)
    states = {
        seeds[seed]: started(experiment, bench.states[seed], begin[seed], mask) for seed, mask in ticket.masks.items()
    }
    bench.train(folder, experiment, states)
    again = dataclasses.replace(
        ticket,
        folder=folder,
        masks={seeds[seed]: mask for seed, mask in ticket.masks.items()},
        starts={seeds[seed]: start for seed, start in ticket.starts.items()},
    )
    return {seed: end_of(again)[other] for seed, other in seeds.items()}


def _with_seeds(experiment: Experiment, seeds: tuple[int, ...]) -> Experiment:
    """The same experiment, and its programs, for other seeds."""
    population = {**experiment.config.population, "seed": seeds}
    return dataclasses.replace(
        experiment, config=dataclasses.replace(experiment.config, seed=0, num_seeds=1, population=population)
    )


def _walk(bench: LotteryBench, batch_norm: BatchNorm, num_points: int) -> Walk:
    """Error and loss at points of the line between two networks; compiled once for all tickets."""
    experiment, part = bench.experiment, bench.measured_on
    images = experiment.recipe.data.images
    examples = (images, experiment.recipe.data.labels) if experiment.test is None else experiment.test
    key, size = stream(jax.random.key(0), "calibration"), experiment.clock.batch_size
    calibration = calibration_batches(images, bench.config.pruning_examples, size, key)
    return walk_between(
        experiment.context.network({}, {}),
        LandscapeData({part: Split(*examples)}, calibration, None, key),
        _METRICS,
        num_points=num_points,
        batch_norm=batch_norm,
        batch_size=size,
    )


def _barriers(
    walk: Walk, batch_norm: BatchNorm, first: dict[int, Network], second: dict[int, Network]
) -> dict[str, Any]:
    """Values, barriers and instability of every metric over seeds."""
    rows = [walk(first[seed], second[seed]) for seed in first]
    measured = {}
    for metric in _METRICS:
        values = np.stack([row[metric] for row in rows])
        measured[metric] = {
            "values": values.tolist(),
            "barrier": spread(barrier(values).tolist()),
            "instability": spread(barrier_over_mean(values).tolist()),
        }
    return {**measured, "batch_norm": batch_norm}
