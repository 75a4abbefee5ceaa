"""Tickets on another data set than the one that they were with_dense on."""

import dataclasses
from typing import Any, Literal

from repcon_jax.data import SOURCES
from repcon_jax.errors import ConfigError
from repcon_jax.lottery.masks import full_mask
from repcon_jax.models import Network
from repcon_jax.models.network import fitting, grafted
from repcon_jax.run.experiment import Experiment
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.studies import STUDIES, Study
from repcon_jax.tasks.lottery.tickets import Ticket
from repcon_jax.typing import PyTree


@STUDIES.register("transfer")
def transfer(*, data: str = "cifar100", length: Literal["steps", "duration"] = "steps") -> Study:
    """Trains the ticket, rewound, on other images: the encoder's mask and weights, and a head that fits the classes.

    Where the head has another shape, it is drawn freshly and kept whole. The dense start of every chain is trained too,
    for comparison.

    Args:
        data: name of the data set, resized and augmented like the one of the chains.
        length: ``steps``: as many steps as a round has; ``duration``: the duration as it is written, in which epochs
            are those of the other data.

    Source: Morcos et al., arXiv 1906.02773, section 3.
    """

    def experiment_of(bench: LotteryBench) -> Experiment:
        training = bench.config.training_config()
        options = SOURCES.options(data) if data in SOURCES.names() else {}
        height, _, channels = bench.experiment.recipe.example[1:]
        images = {"image_size": height, "rgb": channels == 3}
        other = dataclasses.replace(training.data, name=data, options=options, classes=(), **images)
        duration = f"{bench.experiment.clock.total_steps} steps" if length == "steps" else training.duration
        experiment = bench.experiment_of(data=other, duration=duration)
        if experiment.recipe.example != bench.experiment.recipe.example:
            raise ConfigError(
                f"studies has transfer to {data!r}, whose images are {experiment.recipe.example[1:]}, but the tickets "
                f"take {bench.experiment.recipe.example[1:]}; choose other data, or set "
                "--config.training.data.rgb=True."
            )
        return experiment

    def measure(bench: LotteryBench, name: str, tickets: list[Ticket]) -> list[dict[str, Any]]:
        experiment = experiment_of(bench)
        states = bench.states_of(experiment)

        def vary(ticket: Ticket, seed: int) -> tuple[Network, PyTree]:
            fresh = experiment.context.network(states[seed].params, states[seed].model_state)
            return grafted(fresh, ticket.starts[seed]), fitting(full_mask(fresh.params), ticket.masks[seed])

        return bench.retrain(name, _with_dense(tickets), vary, experiment)

    def check(bench: LotteryBench) -> None:
        experiment_of(bench)

    return Study("transfer", measure, check)


def _with_dense(tickets: list[Ticket]) -> list[Ticket]:
    """The tickets and, before those of each chain, the dense network that the chain starts from."""
    with_dense: list[Ticket] = []
    for ticket in tickets:
        if ticket.number and ticket.chain not in {other.chain for other in with_dense}:
            masks = {seed: full_mask(mask) for seed, mask in ticket.masks.items()}
            with_dense.append(dataclasses.replace(ticket, number=0, masks=masks, density=[1.0] * len(masks)))
        with_dense.append(ticket)
    return with_dense
