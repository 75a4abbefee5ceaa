"""What a measurement is, and the registry that finds the files of this folder, one a measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from repcon_jax.options.registry import Registry
from repcon_jax.records.scores import Score

if TYPE_CHECKING:
    from repcon_jax.tasks.study.subject import Subject

MEASUREMENTS = Registry("measurement", "repcon_jax.tasks.study.measurements")
Need = Literal["target", "labels", "training"]


@dataclass(frozen=True)
class Reading:
    """A value with what was chosen and seen on the way to it.

    Args:
        value: of a score.
        details: named numbers and texts, such as the penalty that was chosen and the accuracy on what was fitted.
    """

    value: float
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """Something that is measured of a network, or of a pair of them.

    Args:
        measure: subject -> {score: value, or a ``Reading``}; None for a pair that it does not fit, such as two
            architectures.
        scores: what each of the values means, by its name.
        of: how many networks it takes: one, or two different ones of the same seed.
        needs: ``target``, images of a data set; ``labels``, these too; ``training``, labelled examples to fit something
            on, which the study draws anew for every draw and every number of shots.
        examples_needed: the smallest number of training examples that it can fit on.
        reads_features: whether it reads the outputs of a layer, so that it is made for every layer of the study.
    """

    measure: Callable[["Subject"], dict[str, float] | dict[str, Reading] | None]
    scores: dict[str, Score]
    of: Literal["network", "pair"] = "network"
    needs: frozenset[Need] = frozenset()
    examples_needed: int = 0
    reads_features: bool = False

    @property
    def has_target(self) -> bool:
        """Whether it reads a data set."""
        return bool(self.needs)

    @property
    def fits(self) -> bool:
        """Whether it fits something on training examples, so that draws differ."""
        return "training" in self.needs
