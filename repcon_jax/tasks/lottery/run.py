"""Iterative pruning with rewinding: train, prune, rewind, train again, each round an artefact of its own."""

import dataclasses
import pathlib
import re
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import jax

from repcon_jax.errors import ConfigError
from repcon_jax.experiment import run_experiment
from repcon_jax.figures.lottery import write_lottery_figures, write_lottery_report
from repcon_jax.files import read_json, write_json
from repcon_jax.lottery.base import Evidence, build_criterion, score
from repcon_jax.lottery.masks import density, empty_layers, full_mask, layer_densities
from repcon_jax.lottery.prunable import prunable
from repcon_jax.lottery.selection import prune_to_density
from repcon_jax.metrics_log import read_metrics
from repcon_jax.problem import Problem, build_problem
from repcon_jax.random import stream
from repcon_jax.tasks.lottery.config import LotteryConfig, parse_lottery, plain_lottery
from repcon_jax.tasks.lottery.rounds import Start, ends, grafted, initial_states, started, write_starts
from repcon_jax.tasks.references import expand, load_network
from repcon_jax.tasks.runs import train_runs
from repcon_jax.training.step import TrainState
from repcon_jax.typing import PyTree
from repcon_jax.workdir import check_config, open_workdir, recorded

BySeed = dict[int, Any]


def run_lottery(config: LotteryConfig, workdir: pathlib.Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Trains, prunes and rewinds from every start; goes on where an earlier start was stopped.

    Args:
        config: what to do.
        workdir: where everything is written; the rounds lie in ``rounds/START/NN``.
        say: receives lines for the user.
    Returns:
        The contents of ``results.json``.
    Raises:
        UserError: config, data, checkpoints or work directory are wrong.
        Stopped: the user or the system asked to stop; the same command goes on.
    """
    plain = plain_lottery(config)
    check_config(workdir, plain, _complete)
    done = workdir / "results.json"
    if done.exists() and (workdir / "report.md").exists():
        say(f"This lottery is complete: see {workdir / 'report.md'}.")
        return read_json(done, "kind")
    for _, reference in config.starts:
        if reference != "random":
            expand(reference, config.runs)
    problem = build_problem(config.training_config())
    prunable(config.prunable, jax.eval_shape(problem.objective.start, jax.random.key(0), _example(problem))[0])
    open_workdir(workdir, plain)
    with recorded(workdir):
        train_runs(config.runs, workdir, say)
        lottery = Lottery(config, workdir, problem, initial_states(problem), say)
        results = {
            "kind": "lottery",
            "title": config.title,
            "seeds": list(lottery.states),
            "measured_on": lottery.measured_on,
            "starts": {name: lottery.rounds(name, begin) for name, begin in lottery.starts().items()},
        }
        write_lottery_figures(workdir / "figures", results)
        write_lottery_report(workdir, results)
        write_json(done, results)
    return results


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    return plain_lottery(parse_lottery(values))


def _example(problem: Problem) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(problem.recipe.example, "float32")


@dataclasses.dataclass(frozen=True)
class Lottery:
    """The rounds of all starts.

    Args:
        config: what to do.
        workdir: of the task.
        problem: of a round's training.
        states: of every seed, as an ordinary run would begin.
        say: receives lines for the user.
    """

    config: LotteryConfig
    workdir: pathlib.Path
    problem: Problem
    states: dict[int, TrainState]
    say: Callable[[str], None]

    @property
    def measured_on(self) -> str:
        """The part of the data whose accuracy counts."""
        return "train" if self.problem.test is None else "test"

    def folder(self, start: str, number: int) -> pathlib.Path:
        """The work directory of a round; round 0 is dense."""
        return self.workdir / "rounds" / re.sub(r"[^\w.+-]", "_", start) / f"{number:02d}"

    def starts(self) -> dict[str, dict[int, Start]]:
        """Where each seed starts, for every start; all are read before anything is trained."""
        return {name: self._start(reference) for name, reference in self.config.starts}

    def rounds(self, name: str, starts: dict[int, Start]) -> list[dict[str, Any]]:
        """Trains and prunes from one start.

        Args:
            name: of the start.
            starts: parameters and model state by seed.
        Returns:
            Every round, the dense one first, as an entry of the results.
        """
        begins = starts
        masks = {seed: full_mask(state.params) for seed, state in self.states.items()}
        densities, entries = self.config.densities(), []
        for number, target in enumerate(densities):
            if number:
                masks = self._prune(name, number, masks, target)
                if self.config.rewinding == "learning_rate":
                    begins = self._ends_of(name, number - 1, starts)
            entries.append(self._train(name, number, begins, masks) | {"target": target})
        return entries

    def _train(self, name: str, number: int, begins: dict[int, Start], masks: BySeed) -> dict[str, Any]:
        folder = self.folder(name, number)
        if not (folder / "results.json").exists():
            self.say(f"{name}, round {number}: {self._densities(masks)[0]:.2%} of the prunable weights.")
            begun = {s: started(self.problem, self.states[s], begins[s], masks[s]) for s in self.states}
            write_starts(folder, self.problem.config, begun)
        found = run_experiment(self.problem.config, folder, self.say, self.problem)
        layers = [layer_densities(mask) for mask in masks.values()]
        return {
            "density": self._densities(masks),
            "accuracy": found[self.measured_on]["accuracy"],
            "layers": {layer: statistics.fmean(of[layer] for of in layers) for layer in layers[0]},
            "curve": _curve(folder),
        }

    def _densities(self, masks: BySeed) -> list[float]:
        return [density(mask, prunable(self.config.prunable, mask)) for mask in masks.values()]

    def _start(self, reference: str) -> dict[int, Start]:
        fresh = {seed: (state.params, state.model_state) for seed, state in self.states.items()}
        if reference == "random":
            return fresh
        names, found = expand(reference, self.config.runs), {}
        for seed in self.states:
            own = [n for n in names if n.split("/")[1] == f"seed_{seed}"] if len(names) > 1 else names
            if not own:
                raise ConfigError(
                    f"starts has {reference!r} without a member of seed {seed}; train that run with the seeds "
                    f"{tuple(self.states)}."
                )
            network = load_network(own[0], self.workdir, self.config.runs)
            found[seed] = grafted(fresh[seed], (network.params, network.model_state))
        return found

    def _ends_of(self, name: str, number: int, like: dict[int, Start]) -> dict[int, Start]:
        """What every seed ended a round with."""
        found = ends(self.folder(name, number), tuple(self.states))
        return {seed: grafted(like[seed], (end["params"], end["model_state"])) for seed, end in found.items()}

    def _prune(self, name: str, number: int, masks: BySeed, target: float) -> BySeed:
        """The masks of a round, nested in those of the round before, from what that one began and ended with."""
        first, last = (ends(self.folder(name, number - 1), tuple(masks), step) for step in (0, None))
        pruned = {}
        for seed, mask in masks.items():
            fill = jax.tree.structure(mask)
            start, params = (jax.tree.unflatten(fill, jax.tree.leaves(e[seed]["params"])) for e in (first, last))
            evidence = Evidence(params, mask, start=start, key=stream(jax.random.key(seed), "pruning", number))
            scores = score(build_criterion(self.config.criterion), evidence)
            may = prunable(self.config.prunable, mask)
            pruned[seed] = prune_to_density(scores, mask, may, target, self.config.distribution)
            self._tell_of_empty(f"{name}, round {number}, seed {seed}", mask, pruned[seed])
        return pruned

    def _tell_of_empty(self, where: str, before: PyTree, after: PyTree) -> None:
        gone = [layer for layer in empty_layers(after) if layer not in empty_layers(before)]
        if gone and self.config.empty_layers == "refuse":
            raise ConfigError(
                f"{where}: nothing would be left of {', '.join(gone)}; end the schedule earlier or set "
                "--config.distribution=erk."
            )
        if gone:
            self.say(f"{where}: nothing is left of {', '.join(gone)}.")


def _curve(folder: pathlib.Path) -> dict[str, list[float]]:
    """Training accuracy against the step, mean over seeds."""
    found: dict[int, list[float]] = {}
    for row in read_metrics(folder):
        if row["kind"] == "train" and "accuracy" in row:
            found.setdefault(row["step"], []).append(row["accuracy"])
    return {"step": sorted(found), "accuracy": [statistics.fmean(found[step]) for step in sorted(found)]}
