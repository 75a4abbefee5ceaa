"""From what a round leaves, or from its start, to the mask of the next."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from repcon_jax.data import gather, to_float
from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.lottery.criteria.synflow import synaptic_flow, synflow_iterations
from repcon_jax.lottery.criterion import Evidence, build_criterion, score
from repcon_jax.lottery.masks import full_mask
from repcon_jax.lottery.prunable import prunable
from repcon_jax.lottery.structure import build_structure
from repcon_jax.models import Model, Network
from repcon_jax.models.recalibration import recalibrate
from repcon_jax.random import stream
from repcon_jax.run.experiment import Experiment
from repcon_jax.tasks.lottery.config import Chain, LotteryConfig
from repcon_jax.training.step import Batch, Inputs, apply_mask
from repcon_jax.typing import Key, Params, PyTree


@dataclasses.dataclass(frozen=True)
class Pruner:
    """How one chain is pruned.

    Args:
        config: of the lottery.
        chain: of its chain.
        experiment: of a round's training.
        scores: network, mask, params at the start, batches, key -> scores; compiled once for all rounds.
    """

    config: LotteryConfig
    chain: Chain
    experiment: Experiment
    scores: Callable[..., PyTree]

    def after_training(self, mask: PyTree, start: Params, end: Network, density: float, key: Key) -> PyTree:
        """The mask of the next round, nested in that of the last.

        Args:
            mask: of the last round.
            start: the parameters that it began with.
            end: the network that it ended with.
            density: to prune to.
            key: of what is drawn.
        """
        return self._pruned(mask, start, end, density, key, self._batches(key))

    def before_training(self, start: Network, density: float, key: Key) -> PyTree:
        """The mask of a start, with scores computed anew at each density on the way.

        Args:
            start: where every round starts.
            density: to prune to.
            key: of what is drawn.
        """
        mask, batches = full_mask(start.params), self._batches(key)
        for step in synflow_iterations(density, self.chain.iterations) if density < 1 else ():
            mask = self._pruned(mask, start.params, start, step, key, batches)
        return mask

    def _batches(self, key: Key) -> PyTree | None:
        if "batches" not in build_criterion(self.chain.criterion).needs:
            return None
        return pruning_batches(self.experiment, self.config.pruning_examples, stream(key, "examples"))

    def _pruned(
        self, mask: PyTree, start: Params, end: Network, density: float, key: Key, batches: PyTree | None
    ) -> PyTree:
        scores = self.scores(end, mask, start, batches, stream(key, "pruning"))
        model = self.experiment.model
        chosen = prunable(self.config.prunable, mask, model)
        return build_structure(self.chain.structure)(scores, mask, chosen, density, self.config.distribution, model)


def build_pruner(config: LotteryConfig, chain: Chain, experiment: Experiment, carried: PyTree) -> Pruner:
    """Compiles nothing yet.

    Args:
        config: of the lottery.
        chain: of its chain.
        experiment: of a round's training.
        carried: what its objective carries along.
    """
    return Pruner(config, chain, experiment, jax.jit(partial(_scores, chain, experiment, carried)))


def pruning_batches(experiment: Experiment, examples: int, key: Key) -> PyTree:
    """Training images without augmentation, in [0, 1] [batches, batch, ...], and their labels [batches, batch]."""
    data, clock = experiment.recipe.data, experiment.clock
    size = min(clock.batch_size, clock.num_examples)
    count = max(1, min(examples, clock.num_examples) // size)
    chosen = jax.random.permutation(key, clock.num_examples)[: count * size].reshape(count, size)
    return to_float(gather(data.images, chosen)), gather(data.labels, chosen)


def check_structure(config: LotteryConfig, chain: Chain, model: Model, params: Params) -> None:
    """Raises UserError where a chain's structure does not fit the model's parameters, whose shapes are given."""
    mask = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
    try:
        chosen, prune = prunable(config.prunable, mask, model), build_structure(chain.structure)
    except ArgumentError as error:
        raise ConfigError(f"prunable: {error}") from error
    if chain.structure != "unstructured":
        for density in config.densities()[1:]:
            scores = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), mask)
            prune(scores, mask, chosen, density, config.distribution, model)


def _scores(
    chain: Chain,
    experiment: Experiment,
    carried: PyTree,
    network: Network,
    mask: PyTree,
    start: Params,
    batches: PyTree | None,
    key: Key,
) -> PyTree:
    criterion, model_state = build_criterion(chain.criterion), network.model_state
    if chain.pruned == "before_training" and "loss" in criterion.needs:
        # Statistics of a network that was never trained are those of no data at all.
        kept = network.replace(params=apply_mask(network.params, mask))
        model_state = recalibrate(kept, batches[0]).model_state

    def loss(params: Params, batch: PyTree) -> jax.Array:
        images, labels = batch
        given = Batch(images[None], images[None][:0], labels)
        inputs = Inputs(params, model_state, carried, jnp.int32(0), {}, given)
        return jnp.mean(experiment.objective.evaluate(inputs)["loss"])

    flow = None
    if "flow" in criterion.needs:
        flow = synaptic_flow(experiment.model, model_state, experiment.recipe.example[1:])
    evidence = Evidence(network.params, mask, start=start, loss=loss, batches=batches, flow=flow, key=key)
    return score(criterion, evidence)
