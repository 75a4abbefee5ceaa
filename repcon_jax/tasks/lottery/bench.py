"""The workbench of a lottery: what every chain and every study trains with."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

from repcon_jax.config import ExperimentConfig, plain_config
from repcon_jax.experiment import run_experiment
from repcon_jax.lottery.masks import density
from repcon_jax.lottery.prunable import prunable
from repcon_jax.problem import Problem, build_problem
from repcon_jax.tasks.lottery.base import Start, Ticket
from repcon_jax.tasks.lottery.config import LotteryConfig
from repcon_jax.tasks.lottery.rounds import initial_states, started, write_starts
from repcon_jax.training.step import TrainState
from repcon_jax.typing import PyTree

Variation = Callable[[Ticket, int], tuple[Start, PyTree]]


@dataclasses.dataclass(frozen=True)
class Bench:
    """What a lottery works with.

    Args:
        config: what to do.
        workdir: of the task.
        problem: of a round's training.
        say: receives lines for the user.
        problems: built so far for other trainings, by their config.
        begun: initial states by the config whose they are.
    """

    config: LotteryConfig
    workdir: pathlib.Path
    problem: Problem
    say: Callable[[str], None]
    problems: dict[str, Problem] = dataclasses.field(default_factory=dict)
    begun: dict[str, dict[int, TrainState]] = dataclasses.field(default_factory=dict)

    @property
    def measured_on(self) -> str:
        """The part of the data whose accuracy counts."""
        return "train" if self.problem.test is None else "test"

    @property
    def states(self) -> dict[int, TrainState]:
        """Of every seed, as an ordinary run of a round's training would begin."""
        return self.states_of(self.problem)

    def states_of(self, problem: Problem) -> dict[int, TrainState]:
        """Likewise of another training."""
        key = _key(problem.config)
        if key not in self.begun:
            self.begun[key] = initial_states(problem)
        return self.begun[key]

    def problem_of(self, **changes: Any) -> Problem:
        """The problem of a round's training with some fields of its config replaced, built once."""
        config = dataclasses.replace(self.config.training_config(), **changes)
        key = _key(config)
        if key not in self.problems:
            self.problems[key] = build_problem(config)
        return self.problems[key]

    def densities(self, masks: dict[int, PyTree]) -> list[float]:
        """Of the parameters that may be pruned, for every seed."""
        return [density(mask, prunable(self.config.prunable, mask)) for mask in masks.values()]

    def folder(self, kind: str, *names: str | int) -> pathlib.Path:
        """A folder below ``rounds`` or ``studies``, such as ``rounds/random/03``."""
        words = [f"{name:02d}" if isinstance(name, int) else re.sub(r"[^\w.+-]", "_", name) for name in names]
        return self.workdir.joinpath(kind, *words)

    def train(self, folder: pathlib.Path, problem: Problem, states: dict[int, TrainState]) -> dict[str, Any]:
        """Trains from given states at step 0, as an ordinary run, or goes on with it; its results."""
        if not (folder / "results.json").exists():
            write_starts(folder, problem.config, states)
        return run_experiment(problem.config, folder, self.say, problem)

    def retrain(
        self, name: str, tickets: list[Ticket], vary: Variation, problem: Problem | None = None
    ) -> list[dict[str, Any]]:
        """Trains something else in the place of tickets.

        Args:
            name: of the study.
            tickets: in whose place.
            vary: ticket, seed -> parameters and model state, and mask, to train instead.
            problem: of the training; None for that of a round.
        Returns:
            An entry for each ticket, with the density and the accuracy of what was trained.
        """
        problem, entries = self.problem if problem is None else problem, []
        states = self.states_of(problem)
        for ticket in tickets:
            varied = {seed: vary(ticket, seed) for seed in states}
            masks = {seed: mask for seed, (_, mask) in varied.items()}
            self.say(f"{name} of {ticket.chain}, round {ticket.number}: {self.densities(masks)[0]:.2%} of the weights.")
            begun = {s: started(problem, states[s], start, mask) for s, (start, mask) in varied.items()}
            found = self.train(self.folder("studies", name, ticket.chain, ticket.number), problem, begun)
            about = {"trained_density": self.densities(masks), "accuracy": found[self.measured_on]["accuracy"]}
            entries.append(ticket.labels | about)
        return entries


def _key(config: ExperimentConfig) -> str:
    return json.dumps(plain_config(config), sort_keys=True)
