"""The config of a lottery: what is trained, where each ticket starts, and how it is pruned."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from repcon_jax.config import ExperimentConfig, parse_config, plain_config
from repcon_jax.errors import ConfigError
from repcon_jax.lottery.allocation import Layer, allocate
from repcon_jax.lottery.base import build_criterion
from repcon_jax.lottery.schedules import parse_densities
from repcon_jax.schema import to_dataclass, to_dict
from repcon_jax.tasks.runs import order_of, run_config

# What a round has at hand when it ends: the trained parameters, those it began with, and a key.
_AVAILABLE = frozenset({"start", "key"})


@dataclasses.dataclass(frozen=True)
class LotteryConfig:
    """Iterative pruning with rewinding, complete.

    Args:
        title: one line for the report.
        training: plain config of the training of every round; its seeds are trained as one population.
        starts: pairs of (name in the figure, where a round starts): ``"random"``, the training's own initialisation,
            or a reference, see ``repcon_jax.tasks.references``. A ``*`` gives every seed the member of its own seed.
            What the reference lacks, such as a classifier, is drawn freshly, once for all rounds.
        task: tells this config from others.
        runs: configs of the runs that are trained first, by name, see ``repcon_jax.tasks.runs``.
        schedule: densities after each round, see ``repcon_jax.lottery.schedules``.
        criterion: what is pruned first, see ``repcon_jax.lottery.base.CRITERIA``.
        prunable: which parameters may be pruned, see ``repcon_jax.lottery.prunable``.
        distribution: how a density is shared among layers, see ``repcon_jax.lottery.allocation``.
        rewinding: what a round starts with: ``weights``, those of the start; ``learning_rate``, those that the last
            round ended with. The optimiser and the learning rate start anew in both.
        empty_layers: whether a round that leaves nothing of a layer is only told, ``warn``, or refused.
    """

    title: str
    training: dict[str, Any]
    starts: tuple[tuple[str, str], ...]
    task: Literal["lottery"] = "lottery"
    runs: dict[str, Any] = dataclasses.field(default_factory=dict)
    schedule: str = "geometric(fraction=0.2, rounds=8)"
    criterion: str = "magnitude"
    prunable: str | tuple[tuple[str, str], ...] = "kernels"
    distribution: str = "global"
    rewinding: Literal["weights", "learning_rate"] = "weights"
    empty_layers: Literal["warn", "refuse"] = "warn"

    def __post_init__(self) -> None:
        """Checks everything that can be checked without data."""
        parse_densities(self.schedule, "schedule")
        allocate(self.distribution, {"layer": Layer((2, 2), 4)}, 2, "distribution")
        missing = build_criterion(self.criterion).needs - _AVAILABLE
        if missing:
            raise ConfigError(
                f"criterion is {self.criterion!r}, which needs {', '.join(sorted(missing))}, but a round ends with "
                "parameters alone; choose magnitude, large_final, magnitude_increase, movement(source='start') or "
                "random."
            )
        if not self.starts:
            raise ConfigError("starts is empty; name at least one, such as (('random', 'random'),).")
        order_of(self.runs)
        if self.training_config().population.keys() - {"seed"}:
            raise ConfigError("training.population may name seeds only; start a lottery for every other value.")

    def training_config(self) -> ExperimentConfig:
        """The config of a round.

        Raises:
            ConfigError: it is wrong; the message begins with ``training``.
        """
        return run_config({"training": self.training}, "training")

    def densities(self) -> tuple[float, ...]:
        """Of every round, beginning with the dense network."""
        return (1.0, *parse_densities(self.schedule, "schedule"))


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
