"""The whole config of a run: a frozen dataclass at the boundary, an ml_collections ConfigDict outside."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from repcon_jax.adapters import ADAPTERS
from repcon_jax.data import DataConfig
from repcon_jax.errors import ArgumentError, ConfigError, check_range
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import with_options
from repcon_jax.options.patterns import check_names
from repcon_jax.options.registry import Registry
from repcon_jax.options.schema import Choice, to_dataclass, to_dict
from repcon_jax.probing import ProbeConfig
from repcon_jax.training.checkpoints import CheckpointConfig
from repcon_jax.training.durations import parse_duration
from repcon_jax.training.mesh import MeshConfig
from repcon_jax.training.optimisers import OptimiserConfig

_REGISTRIES: dict[str, Registry] = {
    "encoder": ENCODERS,
    "adapter": ADAPTERS,
    "head": HEADS,
    "objective": OBJECTIVES,
}


@dataclasses.dataclass(frozen=True)
class TeacherConfig:
    """A network that teaches; its architecture and what it expects of images stand in its checkpoint.

    Args:
        checkpoint: folder of one step, such as ``runs/expert/checkpoints/seed_0/1000``.
        part: of the checkpoint: ``params``, what was trained, or what the objective carried, such as ``teacher``.
    """

    checkpoint: str
    part: str = "params"


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """One run, complete.

    Args:
        title: one line for the report.
        encoder: name and options, see ``repcon_jax.models.ENCODERS``.
        objective: likewise, see ``repcon_jax.objectives.OBJECTIVES``.
        data: what is trained on.
        head: likewise, see ``repcon_jax.models.HEADS``; None where there are ``heads``.
        heads: several heads on the encoder, by name; their logits are then a dict.
        adapter: something small to train beside the encoder's parameters, see ``repcon_jax.adapters.ADAPTERS``; None
            for nothing.
        teachers: networks that the objective learns from, by name.
        sources: further data sets, by name, of which every step sees a batch too.
        optimiser: how.
        probe: how representations are judged.
        checkpoint: what is saved.
        seed: of everything random; every stream is derived from it.
        num_seeds: how many members, with seeds ``seed``, ``seed + 1``, ...
        batch_size: examples per step.
        drop_last: whether an epoch ends before its incomplete batch.
        duration: length of the run in steps, examples or epochs.
        log_every: duration between logged rows, each the mean over its steps.
        population: values of scalars whose product is trained as one population, such as
            ``{"seed": (0, 1, 2), "locality": (0.0, 0.5, 1.0)}``; a name is ``seed`` or an option of the optimiser or
            the objective, written in full (``objective.locality``) where it is not the only one of that name.
        accumulation: parts of a batch computed one after the other, which needs the memory of one part; batch
            statistics are those of a part.
        mesh: how members and batches are spread over devices; may differ from start to start of a run.
        evaluate: whether the objective is evaluated on the test set at the end.
        figures: whether figures are drawn at the end.
    """

    title: str
    encoder: Choice
    objective: Choice
    data: DataConfig
    head: Choice | None = None
    heads: dict[str, Choice] = dataclasses.field(default_factory=dict)
    adapter: Choice | None = None
    teachers: dict[str, TeacherConfig] = dataclasses.field(default_factory=dict)
    sources: dict[str, DataConfig] = dataclasses.field(default_factory=dict)
    optimiser: OptimiserConfig = dataclasses.field(default_factory=OptimiserConfig)
    probe: ProbeConfig = dataclasses.field(default_factory=ProbeConfig)
    checkpoint: CheckpointConfig = dataclasses.field(default_factory=CheckpointConfig)
    seed: int = 0
    num_seeds: int = 1
    batch_size: int = 256
    drop_last: bool = True
    duration: str = "100 epochs"
    log_every: str = "50 steps"
    population: dict[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    accumulation: int = 1
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    evaluate: bool = True
    figures: bool = True

    def __post_init__(self) -> None:
        """Checks ranges, names and options of everything that can be checked without data."""
        check_range("seed", self.seed, 0, 2**31 - 1)
        check_range("num_seeds", self.num_seeds, 1)
        check_range("batch_size", self.batch_size, 1)
        check_range("accumulation", self.accumulation, 1)
        if self.batch_size % self.accumulation:
            raise ConfigError(
                f"batch_size is {self.batch_size} but must be a multiple of accumulation, {self.accumulation}; "
                f"set --config.accumulation to a divisor."
            )
        check_range("checkpoint.keep_last", self.checkpoint.keep_last, 1)
        for field, durations in (
            ("duration", (self.duration,)),
            ("log_every", (self.log_every,)),
            ("probe.every", (self.probe.every,)),
            ("checkpoint.every", (self.checkpoint.every,)),
            ("checkpoint.keep_every", filter(None, (self.checkpoint.keep_every,))),
            ("checkpoint.keep", self.checkpoint.keep),
        ):
            for duration in durations:
                parse_duration(duration, field)
        if (self.head is None) == (not self.heads):
            both = "both" if self.heads else "neither"
            raise ConfigError(f"head and heads are {both} given, but an encoder has either one head or named ones.")
        for field, registry in _REGISTRIES.items():
            choice = getattr(self, field)
            if choice is not None:
                registry.check(choice.name, choice.options)
        for field in ("heads", "teachers", "sources"):
            check_names(field, getattr(self, field))
        if "params" in self.teachers:  # networks in a checkpoint are found by that name
            raise ConfigError("teachers has the name 'params', which checkpoints use themselves; rename it.")
        for name, choice in self.heads.items():
            with head_called(f"heads.{name}"):
                HEADS.check(choice.name, choice.options)


@contextlib.contextmanager
def head_called(field: str) -> Iterator[None]:
    """Within, what is wrong with a head is said of the field that holds it, such as one of ``heads``.

    >>> with head_called("heads.own"):
    ...     HEADS.check("linaer", {})
    Traceback (most recent call last):
        ...
    repcon_jax.errors.ConfigError: heads.own.name is 'linaer', which does not exist; did you mean 'linear'? \
(one of: identity, linear, projector).
    """
    try:
        yield
    except ConfigError as error:
        raise ConfigError(re.sub(r"(?<![\w.])(--config\.)?head\.", rf"\g<1>{field}.", str(error))) from error


@contextlib.contextmanager
def fields_of(group: str = "") -> Iterator[None]:
    """Within, an argument that a function refuses is said to be a field of a group of the config.

    Args:
        group: its dotted name; empty for the config itself.

    >>> with fields_of("data"):
    ...     check_range("holdout", 2.0, 0, 1)
    Traceback (most recent call last):
        ...
    repcon_jax.errors.ConfigError: data.holdout is 2.0 but must lie in [0, 1]; correct --config.data.holdout.
    """
    try:
        yield
    except ArgumentError as error:
        raise error.within(group) from error


def parse_config(values: Mapping[str, Any]) -> ExperimentConfig:
    """The frozen config from nested plain values, such as ``ConfigDict.to_dict()`` or a reloaded ``config.json``.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range.
    """
    return to_dataclass(ExperimentConfig, values)


def plain_config(config: ExperimentConfig) -> dict[str, Any]:
    """Nested dicts, tuples and scalars, with every option of every choice; ``parse_config`` is its inverse."""
    choices = {field: getattr(config, field) for field in _REGISTRIES if getattr(config, field) is not None}
    complete = {f: with_options(_REGISTRIES[f], choice.name, **choice.options) for f, choice in choices.items()}
    heads = {name: with_options(HEADS, choice.name, **choice.options) for name, choice in config.heads.items()}
    return to_dict(dataclasses.replace(config, heads=heads, **complete))
