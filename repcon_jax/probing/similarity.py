"""What a similarity of representations is, and the registry that finds ``repcon_jax/probing/similarities/``."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Array, Float

from repcon_jax import moved
from repcon_jax.errors import ArgumentError
from repcon_jax.options.registry import Registry
from repcon_jax.probing.pairwise import check_features
from repcon_jax.records.scores import Score
from repcon_jax.typing import Key

SIMILARITIES = Registry("similarity", "repcon_jax.probing.similarities")


@dataclass(frozen=True)
class Similarity:
    """How alike two representations of the same examples are.

    Args:
        value: features [examples, size], features of the same examples [examples, other size], key of what is drawn ->
            a float32 scalar; NaN where it is not defined, as of a representation that is constant.
        score: what the number means.
        examples_needed: the smallest number of examples for which it is defined.
    """

    value: Callable[[Array, Array, Key], Float[Array, ""]]
    score: Score
    examples_needed: int = 2

    def __call__(
        self, first: Float[Array, "examples size"], second: Float[Array, "others other"], key: Key
    ) -> Float[Array, ""]:
        """The value, of features that were checked.

        Raises:
            ArgumentError: the features are of different numbers of examples, of too few, or not finite.
        """
        if len(first) != len(second):
            problem = f"are of {len(second)} examples but must be of {len(first)}, as the first features"
            raise ArgumentError("second features", problem, "give features of the same examples")
        check_features("first features", first, self.examples_needed)
        check_features("second features", second, self.examples_needed)
        return self.value(first, second, key)


__getattr__ = moved.getattr_of(__name__)
