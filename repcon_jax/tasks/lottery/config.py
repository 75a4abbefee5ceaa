"""The config of a lottery: what is trained, where each chain of rounds starts, how it is pruned, what is studied."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from repcon_jax.errors import ConfigError, check_range, did_you_mean
from repcon_jax.lottery.allocation import PrunableLeaf, allocate
from repcon_jax.lottery.criterion import build_criterion
from repcon_jax.lottery.schedules import parse_densities
from repcon_jax.lottery.structure import build_structure
from repcon_jax.options.schema import to_dataclass, to_dict
from repcon_jax.run.config import ExperimentConfig, parse_config, plain_config
from repcon_jax.run.runs import order_of, run_config
from repcon_jax.tasks.lottery.studies import build_study


@dataclasses.dataclass(frozen=True)
class Chain:
    """The rounds of one start and one way of pruning.

    Args:
        start: where every round starts: ``"random"``, the training's own initialisation, or a reference, see
            ``repcon_jax.run.references``. A ``*`` gives every seed the member of its own seed. What the reference
            lacks, such as a classifier, is drawn freshly, once for all rounds.
        label: in tables and figures; None is the chain's name.
        criterion: what is pruned first, see ``repcon_jax.lottery.criterion.CRITERIA``.
        structure: what is pruned as one, see ``repcon_jax.lottery.structure.STRUCTURES``.
        pruned: when masks are made. ``after_training``: what a round trained is pruned for the next one.
            ``before_training``: the start itself is pruned to each density, before anything is trained.
        iterations: of pruning before training: densities d^(k/n) on the way to d, with scores computed anew at each.
        rewinding: what a round starts with. ``weights``: those of the start. ``learning_rate``: those that the last
            round ended with. ``none``: the same, and the learning rate stays what it ended with (fine-tuning). The
            optimiser starts anew in all.

    Source of the kinds of rewinding: Renda et al., arXiv 2003.02389, section 2.
    """

    start: str = "random"
    label: str | None = None
    criterion: str = "magnitude"
    structure: str = "unstructured"
    pruned: Literal["after_training", "before_training"] = "after_training"
    iterations: int = 1
    rewinding: Literal["weights", "learning_rate", "none"] = "weights"


@dataclasses.dataclass(frozen=True)
class LotteryConfig:
    """Iterative pruning with rewinding, complete.

    Args:
        title: one line for the report.
        training: plain config of the training of every round; its seeds are trained as one population.
        chains: by name, what is pruned and retrained round by round.
        task: tells this config from others.
        runs: configs of the runs that are trained first, by name, see ``repcon_jax.run.runs``.
        schedule: densities after each round, see ``repcon_jax.lottery.schedules``.
        prunable: which parameters may be pruned, see ``repcon_jax.lottery.prunable``.
        distribution: how a density is shared among layers, see ``repcon_jax.lottery.allocation``.
        pruning_examples: training images that a criterion sees, where it needs any.
        empty_layers: whether a round that leaves nothing of a layer is only told, ``warn``, or refused.
        studies: what else is done with the tickets, see ``repcon_jax.tasks.lottery.studies``.
        studied_chains: names of the chains whose tickets are studied; () is all.
        studied_rounds: numbers of the rounds that are studied, 0 the dense network; () is all.
        figures: whether figures are drawn at the end.
    """

    title: str
    training: dict[str, Any]
    chains: dict[str, Chain]
    task: Literal["lottery"] = "lottery"
    runs: dict[str, Any] = dataclasses.field(default_factory=dict)
    schedule: str = "geometric(fraction=0.2, rounds=8)"
    prunable: str | tuple[tuple[str, str], ...] = "kernels"
    distribution: str = "global"
    pruning_examples: int = 1024
    empty_layers: Literal["warn", "refuse"] = "warn"
    studies: tuple[str, ...] = ()
    studied_chains: tuple[str, ...] = ()
    studied_rounds: tuple[int, ...] = ()
    figures: bool = True

    def __post_init__(self) -> None:
        """Checks everything that can be checked without data."""
        rounds = len(parse_densities(self.schedule, "schedule"))
        allocate(self.distribution, {"layer": PrunableLeaf((2, 2), 4)}, 2, "distribution")
        check_range("pruning_examples", self.pruning_examples, 1)
        if not self.chains:
            raise ConfigError("chains is empty; name at least one, such as {'random': {'start': 'random'}}.")
        for name, chain in self.chains.items():
            _check_chain(name, chain)
        for text in self.studies:
            build_study(text)
        for name in self.studied_chains:
            if name not in self.chains:
                raise ConfigError(f"studied_chains has {name!r}; {did_you_mean(name, self.chains)}.")
        for number in self.studied_rounds:
            check_range("studied_rounds", number, 0, rounds)
        order_of(self.runs)
        if self.training_config().population.keys() - {"seed"}:
            raise ConfigError("training.population may name seeds only; start a lottery for every other value.")

    def training_config(self) -> ExperimentConfig:
        """The config of a round.

        Raises:
            ConfigError: it is wrong; the message begins with ``training``.
        """
        return run_config({"training": self.training}, "training", "training")

    def densities(self) -> tuple[float, ...]:
        """Of every round, beginning with the dense network."""
        return (1.0, *parse_densities(self.schedule, "schedule"))


def _check_chain(name: str, chain: Chain) -> None:
    field = f"chains.{name}"
    check_range(f"{field}.iterations", chain.iterations, 1)
    build_structure(chain.structure, f"{field}.structure")
    build_criterion(chain.criterion, f"{field}.criterion")
    if chain.pruned == "before_training" and chain.rewinding != "weights":
        raise ConfigError(
            f"{field}.rewinding is {chain.rewinding!r}, but what is pruned before training has no earlier round; set "
            "it to 'weights'."
        )
    if chain.pruned == "after_training" and chain.iterations > 1:
        raise ConfigError(
            f"{field}.iterations is {chain.iterations}, but what is pruned after training is pruned once a round; set "
            "it to 1, or take a schedule of more rounds."
        )


def parse_lottery(values: Mapping[str, Any]) -> LotteryConfig:
    """The frozen config from nested plain values.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range.
    """
    return to_dataclass(LotteryConfig, values)


def plain_lottery(config: LotteryConfig) -> dict[str, Any]:
    """Nested dicts, tuples and scalars, with every field of the runs and of the training."""
    runs = {name: plain_config(run_config(config.runs, name)) for name in config.runs}
    training = plain_config(parse_config(config.training))
    return to_dict(dataclasses.replace(config, runs=runs, training=training))
