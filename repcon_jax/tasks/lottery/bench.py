"""The workbench of a lottery: what every chain and every study trains with."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

from repcon_jax.lottery.masks import density
from repcon_jax.lottery.prunable import prunable
from repcon_jax.models import Network
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.run.execute import run_experiment
from repcon_jax.run.experiment import Experiment, build_experiment
from repcon_jax.run.seeded import initial_states, started, write_starts
from repcon_jax.tasks.lottery.config import LotteryConfig
from repcon_jax.tasks.lottery.tickets import Ticket
from repcon_jax.training.step import TrainState
from repcon_jax.typing import PyTree

Variation = Callable[[Ticket, int], tuple[Network, PyTree]]


@dataclasses.dataclass(frozen=True)
class LotteryBench:
    """What a lottery works with.

    Args:
        config: what to do.
        workdir: of the task.
        experiment: of a round's training.
        say: receives lines for the user.
        experiments: built so far for other trainings, by their config.
        begun: initial states by the config whose they are.
    """

    config: LotteryConfig
    workdir: pathlib.Path
    experiment: Experiment
    say: Callable[[str], None]
    experiments: dict[str, Experiment] = dataclasses.field(default_factory=dict)
    begun: dict[str, dict[int, TrainState]] = dataclasses.field(default_factory=dict)

    @property
    def measured_on(self) -> str:
        """The part of the data whose accuracy counts."""
        return "train" if self.experiment.test is None else "test"

    @property
    def states(self) -> dict[int, TrainState]:
        """Of every seed, as an ordinary run of a round's training would begin."""
        return self.states_of(self.experiment)

    def states_of(self, experiment: Experiment) -> dict[int, TrainState]:
        """Likewise of another training."""
        key = _key(experiment.config)
        if key not in self.begun:
            self.begun[key] = initial_states(experiment)
        return self.begun[key]

    def experiment_of(self, **changes: Any) -> Experiment:
        """The experiment of a round's training with some fields of its config replaced, built once."""
        config = dataclasses.replace(self.config.training_config(), **changes)
        key = _key(config)
        if key not in self.experiments:
            self.experiments[key] = build_experiment(config)
        return self.experiments[key]

    def densities(self, masks: dict[int, PyTree]) -> list[float]:
        """Of the parameters that may be pruned, for every seed."""
        return [density(mask, prunable(self.config.prunable, mask, self.experiment.model)) for mask in masks.values()]

    def folder(self, kind: str, *names: str | int) -> pathlib.Path:
        """A folder below ``rounds`` or ``studies``, such as ``rounds/random/03``."""
        words = [f"{name:02d}" if isinstance(name, int) else re.sub(r"[^\w.+-]", "_", name) for name in names]
        return self.workdir.joinpath(kind, *words)

    def train(self, folder: pathlib.Path, experiment: Experiment, states: dict[int, TrainState]) -> dict[str, Any]:
        """Trains from given states at step 0, as an ordinary run, or goes on with it; its results."""
        if not (folder / "results.json").exists():
            write_starts(folder, experiment, states)
        return run_experiment(experiment.config, folder, self.say, experiment)

    def retrain(
        self, name: str, tickets: list[Ticket], vary: Variation, experiment: Experiment | None = None
    ) -> list[dict[str, Any]]:
        """Trains something else in the place of tickets.

        Args:
            name: of the study.
            tickets: in whose place.
            vary: ticket, seed -> network, and mask, to train instead.
            experiment: of the training; None for that of a round.
        Returns:
            An entry for each ticket, with the density and the accuracy of what was trained.
        """
        experiment, entries = self.experiment if experiment is None else experiment, []
        states = self.states_of(experiment)
        for ticket in tickets:
            varied = {seed: vary(ticket, seed) for seed in states}
            masks = {seed: mask for seed, (_, mask) in varied.items()}
            self.say(f"{name} of {ticket.chain}, round {ticket.number}: {self.densities(masks)[0]:.2%} of the weights.")
            begun = {s: started(experiment, states[s], start, mask) for s, (start, mask) in varied.items()}
            results = self.train(self.folder("studies", name, ticket.chain, ticket.number), experiment, begun)
            about = {"trained_density": self.densities(masks), "accuracy": results[self.measured_on]["accuracy"]}
            entries.append(ticket.labels | about)
        return entries


def _key(config: ExperimentConfig) -> str:
    return json.dumps(plain_config(config), sort_keys=True)
