"""The rounds of a chain: train, prune, rewind, train again, each round an artefact of its own."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from repcon_jax.errors import ConfigError
from repcon_jax.lottery.masks import empty_layers, full_mask
from repcon_jax.models import Network
from repcon_jax.models.network import grafted
from repcon_jax.run.experiment import Experiment
from repcon_jax.run.references import expand, load_reference
from repcon_jax.run.seeded import started
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.config import Chain
from repcon_jax.tasks.lottery.pruning import Pruner, build_pruner
from repcon_jax.tasks.lottery.rounds import ends, stored_masks
from repcon_jax.tasks.lottery.tickets import Ticket
from repcon_jax.training.schedules import parse_schedule
from repcon_jax.typing import PyTree


def starts_of(bench: LotteryBench, name: str, chain: Chain) -> dict[int, Network]:
    """Where each seed of a chain starts.

    Raises:
        ConfigError: a seed has no member in the run that is named.
        CheckpointError: the step was never saved (the saved ones are listed).
    """
    network = bench.experiment.context.network
    fresh = {seed: network(state.params, state.model_state) for seed, state in bench.states.items()}
    if chain.start == "random":
        return fresh
    names, starts = expand(chain.start, bench.config.runs), {}
    for seed in fresh:
        own = [n for n in names if n.split("/")[1] == f"seed_{seed}"] if len(names) > 1 else names
        if not own:
            raise ConfigError(
                f"chains.{name}.start is {chain.start!r}, without a member of seed {seed}; train that run with the "
                f"seeds {tuple(fresh)}."
            )
        starts[seed] = grafted(fresh[seed], load_reference(own[0], bench.workdir, bench.config.runs).network)
    return starts


def train_chain(bench: LotteryBench, name: str, chain: Chain, starts: dict[int, Network]) -> list[Ticket]:
    """Trains and prunes round by round.

    Args:
        bench: trains.
        name: of the chain.
        chain: where it starts and how it is pruned.
        starts: by seed.
    Returns:
        The ticket of every round, the dense network first.
    """
    pruner = build_pruner(bench.config, chain, bench.experiment, next(iter(bench.states.values())).carried)
    full = {seed: full_mask(start.params) for seed, start in starts.items()}
    tickets: list[Ticket] = []
    for number, target in enumerate(bench.config.densities()):
        folder = bench.folder("rounds", name if number else _first_with(bench, chain.start), number)
        before = tickets[-1] if tickets else None
        masks = stored_masks(folder, full) or (full if before is None else _masks(pruner, before, number, target))
        _tell_of_empty(bench, f"{name}, round {number}", before, masks)
        begins = starts if before is None or chain.rewinding == "weights" else end_of(before)
        density = bench.densities(masks)
        bench.say(f"{name}, round {number}: {density[0]:.2%} of the prunable weights.")
        experiment = experiment_of_round(bench, name, number)
        states = {s: started(experiment, bench.states[s], begins[s], masks[s]) for s in masks}
        accuracy = bench.train(folder, experiment, states)[bench.measured_on]["accuracy"]
        tickets.append(Ticket(name, number, folder, starts, jax.device_get(masks), density, accuracy))
    return tickets


def _first_with(bench: LotteryBench, start: str) -> str:
    """The chain that trains the dense network of a start, for all chains that have it."""
    return next(name for name, chain in bench.config.chains.items() if chain.start == start)


def begin_of(ticket: Ticket) -> dict[int, Network]:
    """The networks, masked, that every seed began the ticket's round with."""
    return _at(ticket, 0)


def end_of(ticket: Ticket) -> dict[int, Network]:
    """The networks that every seed ended the ticket's round with."""
    return _at(ticket, None)


def _at(ticket: Ticket, step: int | None) -> dict[int, Network]:
    saved = ends(ticket.folder, tuple(ticket.masks), step)
    restored = {s: ticket.starts[s].replace(params=e["params"], model_state=e["model_state"]) for s, e in saved.items()}
    return {seed: grafted(ticket.starts[seed], network) for seed, network in restored.items()}


def _masks(pruner: Pruner, before: Ticket, number: int, target: float) -> dict[int, PyTree]:
    """The masks of a round after another."""
    if pruner.chain.pruned == "before_training":
        keys = {seed: jax.random.key(seed) for seed in before.starts}
        return {seed: pruner.before_training(before.starts[seed], target, key) for seed, key in keys.items()}
    begin, end = begin_of(before), end_of(before)
    keys = {seed: jax.random.fold_in(jax.random.key(seed), number) for seed in before.masks}
    return {
        seed: pruner.after_training(mask, begin[seed].params, end[seed], target, keys[seed])
        for seed, mask in before.masks.items()
    }


def experiment_of_round(bench: LotteryBench, chain: str, number: int) -> Experiment:
    """Of the training of a chain's round; fine-tuning goes on with the learning rate that training ended with."""
    if bench.config.chains[chain].rewinding != "none" or number == 0:
        return bench.experiment
    optimiser, clock = bench.experiment.config.optimiser, bench.experiment.clock
    schedule = parse_schedule(optimiser.learning_rate, clock, "training.optimiser.learning_rate")
    last = float(jnp.float32(schedule(clock.total_steps - 1)))
    return bench.experiment_of(optimiser=dataclasses.replace(optimiser, learning_rate=last))


def _tell_of_empty(bench: LotteryBench, where: str, before: Ticket | None, masks: dict[int, PyTree]) -> None:
    for seed, mask in masks.items():
        known: Any = empty_layers(before.masks[seed]) if before else ()
        empty = [layer for layer in empty_layers(mask) if layer not in known]
        if empty and bench.config.empty_layers == "refuse":
            raise ConfigError(
                f"{where}, seed {seed}: nothing would be left of {', '.join(empty)}; end the schedule earlier or set "
                "--config.distribution=erk."
            )
        if empty:
            bench.say(f"{where}, seed {seed}: nothing is left of {', '.join(empty)}.")
