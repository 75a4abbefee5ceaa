"""What a geometry score is, and the registry that finds ``repcon_jax/probing/geometry_scores/``."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Array, Float, Int

from repcon_jax.options.registry import Registry
from repcon_jax.probing.pairwise import check_features
from repcon_jax.records.scores import Score

GEOMETRY_SCORES = Registry("geometry_score", "repcon_jax.probing.geometry_scores")

Features = Float[Array, "examples size"]
Labels = Int[Array, " examples"]


@dataclass(frozen=True)
class GeometryScore:
    """A number that says how a representation lies in its space; nothing is fitted.

    Args:
        value: features [examples, size], and, where ``needs_labels``, labels [examples] in 0 .. num_classes - 1 and
            num_classes -> a float32 scalar; NaN where it is not defined, as between classes where there is one.
        score: what the number means.
        needs_labels: whether it reads labels.
    """

    value: Callable[..., Float[Array, ""]]
    score: Score
    needs_labels: bool = False

    def __call__(self, features: Features, labels: Labels | None = None, num_classes: int = 0) -> Float[Array, ""]:
        """The value, of features that were checked.

        Args:
            features: of at least two examples.
            labels, num_classes: read where ``needs_labels``.
        Raises:
            ArgumentError: the features are of too few examples, or not finite.
        """
        check_features("features", features, 2)
        return self.value(features, labels, num_classes) if self.needs_labels else self.value(features)
