"""What is probed, how often, and on which part of the data."""

from dataclasses import dataclass
from typing import Literal

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.probing.probe import PROBES, Probe
from repcon_jax.records.scores import Score


@dataclass(frozen=True)
class ProbeConfig:
    """The ``probe`` group of a config.

    Attributes:
        probes: names from the registry, with options where they differ from the defaults, such as
            ``"linear(epochs=20)"``; "linear" and "knn" are the paper's, "linear_tuned", "svm" and "ridge" are
            converged and tuned, "nearest_class_mean" fits nothing but means.
        every: how often during training, a duration such as "10 epochs".
        during: what the periodic probes are scored on. "validation": fitted on the training set less the validation
            part and scored there, so that the test set is used once, at the end. "test": as in the paper's curves.
            "none": no periodic probes.
        train_size: cap on the probe's training set, classes in proportion; None for all of it.
        data: another data set to probe on, such as "cifar10" after training on TinyImageNet, normalised with the
            statistics of its own training set; None for the same.
    """

    probes: tuple[str, ...] = ("linear", "linear_tuned", "knn")
    every: str = "10 epochs"
    during: Literal["validation", "test", "none"] = "validation"
    train_size: int | None = None
    data: str | None = None

    def __post_init__(self) -> None:
        """Raises UserError where a probe or an option does not exist or a number is out of range."""
        if len(set(self.probes)) < len(self.probes):
            raise ArgumentError("probes", f"is {self.probes} but may name a probe only once", "drop the repetition")
        self.built()
        if self.train_size is not None:
            check_range("train_size", self.train_size, 2)

    def built(self) -> dict[str, Probe]:
        """The probes by the texts that name them.

        Raises:
            ConfigError: a probe or an option does not exist.
        """
        return {text: PROBES.parse(text, "probe.probes") for text in self.probes}

    def scores(self) -> dict[str, Score]:
        """What the value of each probe means."""
        return {text: probe.score for text, probe in self.built().items()}

    def examples_needed(self) -> int:
        """The smallest training set that every probe can work with.

        >>> ProbeConfig(probes=("linear", "knn(neighbours=5)")).examples_needed()
        5
        """
        return max((probe.examples_needed for probe in self.built().values()), default=0)
