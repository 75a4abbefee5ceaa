"""The registry of distributions: how an overall count of kept entries is shared among layers.

A distribution is a function ``(layers, kept, *, options) -> counts``, where the counts are integers by path that sum
to ``kept`` and exceed no layer's current count, or ``kept`` itself where all layers compete with each other.
"""

import dataclasses
import math

from repcon_jax.options.registry import Registry

DISTRIBUTIONS = Registry("distribution", "repcon_jax.lottery.distributions")

Counts = int | dict[str, int]


@dataclasses.dataclass(frozen=True)
class PrunableLeaf:
    """A prunable leaf.

    Args:
        shape: of the leaf; the last two axes are inputs and outputs, those before them a convolution's window.
        kept: how many of its entries the current mask keeps.
    """

    shape: tuple[int, ...]
    kept: int

    @property
    def total(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def axes(self) -> tuple[int, ...]:
        """The shape with two axes at least: a vector counts as a kernel of one input."""
        return (1,) * (2 - len(self.shape)) + self.shape


def allocate(distribution: str, layers: dict[str, PrunableLeaf], kept: int, field: str = "distribution") -> Counts:
    """The counts that a distribution, given as text, gives the layers.

    Args:
        distribution: a name or call such as ``"by_layer(targets=(('^head/', 0.5), ('.*', 0.1)))"``.
        layers: the prunable leaves by path, in flatten order.
        kept: overall number of entries to keep, at most what the layers keep now.
        field: config field that the text stands in, for messages.
    Returns:
        Integers by path, or one integer where the layers are to compete with each other.
    Raises:
        ConfigError: the text is no call of a known distribution, or its options do not fit.

    >>> allocate("uniform", {"a": PrunableLeaf((2, 2), 4), "b": PrunableLeaf((4, 2), 8)}, kept=6)
    {'a': 2, 'b': 4}
    """
    return DISTRIBUTIONS.parse(distribution, field, layers, kept)
