"""What is probed, how often, and on which part of the data."""

from dataclasses import dataclass
from typing import Any, Literal

from repcon_jax.errors import check_range
from repcon_jax.probing.base import PROBES

ProbeSpec = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class ProbeConfig:
    """The ``probing`` group of a config.

    Attributes:
        probes: names from the registry; "linear" and "knn" are the paper's, "linear_tuned" is converged and tuned.
        every: how often during training, a duration such as "10 epochs".
        during: what the periodic probes are scored on. "validation": fitted on the training set less the validation
            part and scored there, so that the test set is used once, at the end. "test": as in the paper's curves.
            "none": no periodic probes.
        train_size: cap on the probe's training set, classes in proportion; None for all of it.
        data: another data set to probe on, such as "cifar10" after training on TinyImageNet; None for the same.
        linear_epochs, linear_standardise: of the paper's linear probe.
        linear_tuned_max_iterations: of the solver.
        knn_neighbours: k.
    """

    probes: tuple[str, ...] = ("linear", "linear_tuned", "knn")
    every: str = "10 epochs"
    during: Literal["validation", "test", "none"] = "validation"
    train_size: int | None = None
    data: str | None = None
    linear_epochs: int = 10
    linear_standardise: bool = False
    linear_tuned_max_iterations: int = 500
    knn_neighbours: int = 20

    def __post_init__(self) -> None:
        """Raises ConfigError where a probe does not exist or a number is out of range."""
        for name in self.probes:
            PROBES.get(name)
        for field in ("linear_epochs", "linear_tuned_max_iterations", "knn_neighbours"):
            check_range(f"probing.{field}", getattr(self, field), 1)
        if self.train_size is not None:
            check_range("probing.train_size", self.train_size, 2)

    def specs(self) -> tuple[ProbeSpec, ...]:
        """The probes with their options, for ``run_probes``.

        >>> ProbeConfig(probes=("knn",), knn_neighbours=5).specs()
        (('knn', {'neighbours': 5}),)
        """
        options = {
            "linear": {"epochs": self.linear_epochs, "standardise": self.linear_standardise},
            "linear_tuned": {"max_iterations": self.linear_tuned_max_iterations},
            "knn": {"neighbours": self.knn_neighbours},
        }
        return tuple((name, options.get(name, {})) for name in self.probes)
