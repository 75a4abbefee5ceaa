"""What a measurement is, and the registry that finds the files of this folder, one a measurement."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from repcon_jax.options.registry import Registry
from repcon_jax.records.scores import Score

if TYPE_CHECKING:
    from repcon_jax.tasks.study.subject import Subject

MEASUREMENTS = Registry("measurement", "repcon_jax.tasks.study.measurements")
Need = Literal["target", "labels", "training"]


@dataclass(frozen=True)
class Measurement:
    """Something that is measured of a network, or of a pair of them.

    Args:
        measure: subject -> {score: value}; None for a pair that it does not fit, such as two architectures.
        scores: what each of the values means, by its name.
        of: how many networks it takes: one, or two different ones of the same seed.
        needs: ``target``, images of a data set; ``labels``, these too; ``training``, labelled examples to fit something
            on, which the study draws anew for every draw and every number of shots.
        examples_needed: the smallest number of training examples that it can fit on.
    """

    measure: Callable[["Subject"], dict[str, float] | None]
    scores: dict[str, Score]
    of: Literal["network", "pair"] = "network"
    needs: frozenset[Need] = frozenset()
    examples_needed: int = 0

    @property
    def has_target(self) -> bool:
        """Whether it reads a data set."""
        return bool(self.needs)

    @property
    def fits(self) -> bool:
        """Whether it fits something on training examples, so that draws differ."""
        return "training" in self.needs
