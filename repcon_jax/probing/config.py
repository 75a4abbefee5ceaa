"""What is probed, how often, and on which part of the data."""

from dataclasses import dataclass
from typing import Literal

from repcon_jax.errors import ConfigError, check_range
from repcon_jax.options.schema import parse_call
from repcon_jax.probing.probe import PROBES


@dataclass(frozen=True)
class ProbeConfig:
    """The ``probe`` group of a config.

    Attributes:
        probes: names from the registry, with options where they differ from the defaults, such as
            ``"linear(epochs=20)"``; "linear" and "knn" are the paper's, "linear_tuned" is converged and tuned.
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
        """Raises ConfigError where a probe or an option does not exist or a number is out of range."""
        if len(set(self.probes)) < len(self.probes):
            raise ConfigError(f"probe.probes is {self.probes} but may name a probe only once; drop the repetition.")
        for text in self.probes:
            name, options = parse_call(text, "probe.probes")
            try:
                PROBES.build(name, **options)
            except ConfigError as error:
                raise ConfigError(f"probe.probes holds {text!r}: {error}") from error
        if self.train_size is not None:
            check_range("train_size", self.train_size, 2)

    def examples_needed(self) -> int:
        """The smallest training set that every probe can work with.

        >>> ProbeConfig(probes=("linear", "knn(neighbours=5)")).examples_needed()
        5
        """
        calls = [parse_call(text, "probe.probes") for text in self.probes]
        return max((({**PROBES.options(name), **options}).get("neighbours", 2) for name, options in calls), default=0)
