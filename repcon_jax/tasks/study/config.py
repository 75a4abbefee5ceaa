"""The config of a study: which networks, on which targets, measured how, and what is claimed."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Literal

from repcon_jax.data import DataConfig
from repcon_jax.errors import ArgumentError, check_range, did_you_mean
from repcon_jax.merging import MERGING_METHODS
from repcon_jax.options.patterns import check_names
from repcon_jax.options.schema import to_dataclass, to_dict
from repcon_jax.probing import EMBEDDING, Pooling
from repcon_jax.records.scores import Score
from repcon_jax.run.config import plain_config
from repcon_jax.run.references import named_references
from repcon_jax.run.runs import order_of, run_config
from repcon_jax.tasks.study.claims import Claim, parse_claim, resolve_score
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement


@dataclasses.dataclass(frozen=True)
class MergeConfig:
    """A network that is made of others.

    Args:
        networks: names of what it is made of.
        method: a name of ``repcon_jax.merging.MERGING_METHODS``, with options where they differ from the defaults.
    """

    networks: tuple[str, ...]
    method: str = "average"


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """One study, complete: every measurement of every network, or pair of them, on every target.

    Names consist of letters, digits and any of ``_.+-``.

    Args:
        title: one line for the report.
        networks: by name the reference of each, see ``repcon_jax.run.references``; one with a ``*`` for the member
            stands for all seeds of a run, over which means and intervals are taken, and any other for a single network,
            which stands beside every seed.
        measurements: by name what is measured: names of ``repcon_jax.tasks.study.measurements``, with options where
            they differ from the defaults.
        targets: data sets by name.
        task: tells this config from others.
        runs: configs of the runs that are trained first, by name, see ``repcon_jax.run.runs``.
        merges: by name networks that are made of others, seed by seed, and measured like them.
        shots: numbers of training examples of each class that are drawn from a target; None among them, and (), takes
            all, once.
        draws: how often they are drawn anew for each number of shots; a larger number of one draw adds to a smaller.
        layers: whose outputs are read as features: ``embedding``, or names of ``repcon_jax.probing.layer_names`` such
            as ``block3``; a network that lacks one is not measured there.
        pooling: what becomes of a layer's output with more axes: the average over all places, or all, ``flatten``.
        feature_cache: the type in which features are kept in the work directory, below ``features/``, for measurements
            that are asked for later; ``float16`` also rounds what this start measures, ``none`` keeps nothing.
        groups: names of targets by the name of their group, over which means are taken, seed by seed and draw by draw.
        baseline: the network with which all others are compared, in pairs of one seed and draw; None for no comparison.
        claims: such as ``"probe: student - teacher > 0"``, in the unit of the score, so that 0.01 of an accuracy is a
            percentage point; each gets a verdict: it holds or fails where the whole 95% interval says so, and is
            undecided otherwise.
        compared: pairs of measurements of single networks whose values are drawn against each other, with their rank
            correlation; ``MEASUREMENT/SCORE`` for another than the first score of one.
        test_examples: examples of each target's test set at most, classes in proportion; None for all.
        recalibration_examples: training images that batch norm statistics of merged networks are measured on.
        batch_size: images at once.
        seed: of all draws, which are the same for all networks.
        figures: whether figures are drawn at the end.
    """

    title: str
    networks: dict[str, str]
    measurements: dict[str, str]
    targets: dict[str, DataConfig] = dataclasses.field(default_factory=dict)
    task: Literal["study"] = "study"
    runs: dict[str, Any] = dataclasses.field(default_factory=dict)
    merges: dict[str, MergeConfig] = dataclasses.field(default_factory=dict)
    shots: tuple[int | None, ...] = ()
    draws: int = 1
    layers: tuple[str, ...] = (EMBEDDING,)
    pooling: Pooling = "average"
    feature_cache: Literal["float32", "float16", "none"] = "float32"
    groups: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    baseline: str | None = None
    claims: tuple[str, ...] = ()
    compared: tuple[tuple[str, str], ...] = ()
    test_examples: int | None = None
    recalibration_examples: int = 2048
    batch_size: int = 256
    seed: int = 0
    figures: bool = True

    def __post_init__(self) -> None:
        """Checks everything that can be checked without data."""
        check_range("draws", self.draws, 1)
        check_range("batch_size", self.batch_size, 1)
        check_range("recalibration_examples", self.recalibration_examples, 1)
        check_range("seed", self.seed, 0, 2**31 - 1)
        for number in self.shots:
            if number is not None:
                check_range("shots", number, 1)
        if len(set(self.shots)) < len(self.shots):
            raise ArgumentError("shots", f"is {self.shots} but may name a number only once", "drop the repetition")
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ArgumentError("layers", f"is {self.layers} but must name at least one, each once", "correct it")
        if self.test_examples is not None:
            check_range("test_examples", self.test_examples, 2)
        self._check_names()
        self._check_merges()
        self._check_measurements()
        self._check_groups()
        if self.baseline is not None:
            self._check_known("baseline", self.baseline, self.all_networks)
        self.parsed_claims()
        self.compared_scores()
        order_of(self.runs)

    def _check_names(self) -> None:
        for field in ("networks", "measurements", "targets", "merges", "groups"):
            names = getattr(self, field)
            if not names and field in ("networks", "measurements"):
                raise ArgumentError(field, "is empty but must name at least one", f"add an entry to {field}")
            check_names(field, names)

    def _check_merges(self) -> None:
        for name, merge in self.merges.items():
            if name in self.networks:
                raise ArgumentError(f"merges.{name}", "is the name of a network too", "rename one of them")
            if len(merge.networks) < 2:
                raise ArgumentError(f"merges.{name}.networks", f"is {merge.networks} but must name at least two")
            for part in merge.networks:
                self._check_known(f"merges.{name}.networks", part, self.networks)
            MERGING_METHODS.parse(merge.method, f"merges.{name}.method")

    def _check_measurements(self) -> None:
        for name, measurement in self.built_measurements().items():
            if measurement.has_target and not self.targets:
                raise ArgumentError("targets", f"is empty but measurements.{name} reads a data set", "name one")
            if measurement.of == "pair" and len(self.all_networks) < 2:
                problem = "is of pairs but there is a single network"
                raise ArgumentError(f"measurements.{name}", problem, "name another network or drop the measurement")

    def _check_groups(self) -> None:
        for group, targets in self.groups.items():
            if group in self.targets:
                raise ArgumentError(f"groups.{group}", "is the name of a target too", "rename one of them")
            if len(set(targets)) < max(2, len(targets)):
                raise ArgumentError(f"groups.{group}", f"is {targets} but must name at least two targets, each once")
            for target in targets:
                self._check_known(f"groups.{group}", target, self.targets)

    def _check_known(self, field: str, name: str, names: Collection[str]) -> None:
        if name not in names:
            raise ArgumentError(field, f"names {name!r}, which does not exist", did_you_mean(name, names))

    @property
    def all_networks(self) -> tuple[str, ...]:
        """Names of all networks, the merged ones last."""
        return (*self.networks, *self.merges)

    def built_measurements(self) -> dict[str, Measurement]:
        """The measurements by name."""
        return {name: MEASUREMENTS.parse(text, f"measurements.{name}") for name, text in self.measurements.items()}

    def scores(self, *of: Literal["network", "pair"]) -> dict[str, Score]:
        """What is measured, by ``"MEASUREMENT/SCORE"``.

        Args:
            *of: networks, pairs or both.
        """
        chosen = {name: built for name, built in self.built_measurements().items() if built.of in of}
        return {f"{name}/{score}": meaning for name, built in chosen.items() for score, meaning in built.scores.items()}

    def parsed_claims(self) -> dict[str, Claim]:
        """The claims by their text."""
        scores = self.scores("network")
        return {text: parse_claim(text, self.all_networks, scores) for text in self.claims}

    def compared_scores(self) -> list[tuple[str, str]]:
        """The scores that are drawn against each other, ``"MEASUREMENT/SCORE"``."""
        scores = self.scores("network")
        return [tuple(resolve_score("compared", name, scores) for name in pair) for pair in self.compared]


def parse_study(values: Mapping[str, Any]) -> StudyConfig:
    """The frozen config from nested plain values.

    Networks may be given as a tuple of references too, such as
    ``("pixels", "runs/a/checkpoints/*/end", "runs/b/checkpoints/seed_0/*")``: they are named after their runs, and a
    ``*`` for the step stands for every step that was saved.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range.
    """
    if isinstance(networks := values.get("networks"), (tuple, list)):
        values = {**values, "networks": named_references(networks)}
    return to_dataclass(StudyConfig, values)


def plain_study(config: StudyConfig) -> dict[str, Any]:
    """Nested dicts, tuples and scalars, with every field of the runs."""
    runs = {name: plain_config(run_config(config.runs, name)) for name in config.runs}
    return to_dict(dataclasses.replace(config, runs=runs))
