"""The config of a landscape: which networks, along what, measured how."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from repcon_jax.errors import check_range
from repcon_jax.landscape.evaluation import BatchNorm
from repcon_jax.landscape.metric import build_metric
from repcon_jax.options.choices import with_options
from repcon_jax.options.schema import Choice, to_dataclass, to_dict
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.run.runs import order_of, run_config
from repcon_jax.tasks.landscape.analyses import ANALYSES
from repcon_jax.training.mesh import MeshConfig


@dataclasses.dataclass(frozen=True)
class LandscapeConfig:
    """One landscape, complete.

    Args:
        title: one line for the report.
        analysis: what is measured, see ``repcon_jax.tasks.landscape.analyses``.
        metrics: measured at every point: names from ``repcon_jax.landscape.metric.METRICS`` or of probes, with options
            where they differ from the defaults.
        task: tells this config from others.
        runs: configs of the runs that are trained first, by name, see ``repcon_jax.run.runs``.
        reference: the network with which outputs are compared; None for none.
        measured_on: parts of the data on which losses are measured.
        train_examples, test_examples: examples of each part, classes in proportion; None for all. Probes are fitted
            on the former and scored on the latter.
        batch_norm: running statistics at a point: ``recalibrated``, measured there on training images;
            ``interpolated``, those of the networks weighted as their parameters; ``first``, those of the first network.
        recalibration_examples: images that recalibration sees.
        batch_size: images at once.
        seed: of the choice of examples, of probes and of random directions.
        mesh: all devices share the points; only ``memory_gb`` and ``members`` count, see ``MeshConfig``.
        figures: whether figures are drawn at the end.
    """

    title: str
    analysis: Choice
    metrics: tuple[str, ...]
    task: Literal["landscape"] = "landscape"
    runs: dict[str, Any] = dataclasses.field(default_factory=dict)
    reference: str | None = None
    measured_on: tuple[Literal["train", "test"], ...] = ("train",)
    train_examples: int | None = None
    test_examples: int | None = None
    batch_norm: BatchNorm = "recalibrated"
    recalibration_examples: int = 2048
    batch_size: int = 256
    seed: int = 0
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    figures: bool = True

    def __post_init__(self) -> None:
        """Checks ranges, metrics, runs and the analysis, without data."""
        check_range("batch_size", self.batch_size, 1)
        check_range("recalibration_examples", self.recalibration_examples, 1)
        check_range("seed", self.seed, 0, 2**31 - 1)
        for name in ("train_examples", "test_examples"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 2)
        for text in self.metrics:
            build_metric(text)
        order_of(self.runs)
        ANALYSES.build(self.analysis.name, **self.analysis.options)

    def run(self, name: str) -> ExperimentConfig:
        """The config of one of the runs.

        Raises:
            ConfigError: it is wrong; the message begins with the run's name.
        """
        return run_config(self.runs, name)


def parse_landscape(values: Mapping[str, Any]) -> LandscapeConfig:
    """The frozen config from nested plain values.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range.
    """
    return to_dataclass(LandscapeConfig, values)


def plain_landscape(config: LandscapeConfig) -> dict[str, Any]:
    """Nested dicts, tuples and scalars, with every option of the analysis and every field of the runs."""
    analysis = with_options(ANALYSES, config.analysis.name, **config.analysis.options)
    runs = {name: plain_config(config.run(name)) for name in config.runs}
    return to_dict(dataclasses.replace(config, analysis=analysis, runs=runs))
