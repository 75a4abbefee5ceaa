"""The means of classes, and how far examples lie from them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.probing.pairwise import centred


class Classes(NamedTuple):
    """Features by class.

    Attributes:
        means: of every class, less the mean of all examples, [classes, size]; 0 for a class without examples.
        counts: examples of every class, [classes].
        deviations: every example less the mean of its class, [examples, size].
    """

    means: Float[Array, "classes size"]
    counts: Float[Array, " classes"]
    deviations: Float[Array, "examples size"]


def by_class(features: Float[Array, "examples size"], labels: Int[Array, " examples"], num_classes: int) -> Classes:
    """Means of classes and deviations from them.

    Args:
        features, labels: [examples, size] and [examples].
        num_classes: labels lie in 0 .. num_classes - 1.

    >>> by_class(jnp.array([[1.0], [3.0], [8.0]]), jnp.array([0, 0, 2]), 3).means.tolist()
    [[-2.0], [0.0], [4.0]]
    """
    moved = centred(features)
    counts = jax.ops.segment_sum(jnp.ones(len(labels)), labels, num_classes)
    means = jax.ops.segment_sum(moved, labels, num_classes) / jnp.maximum(counts, 1)[:, None]
    # A second mean, of what is small where a class is collapsed, takes away what the first was rounded by.
    rest = moved - means[labels]
    rest -= (jax.ops.segment_sum(rest, labels, num_classes) / jnp.maximum(counts, 1)[:, None])[labels]
    return Classes(means, counts, rest)


def equally_weighted(classes: Classes) -> Float[Array, "classes size"]:
    """The means less their own mean, in which every class that has examples counts the same; 0 for the others.

    A single class has exactly 0.
    """
    is_present = (classes.counts > 0)[:, None]
    centre = classes.means.sum(0) / is_present.sum()
    return jnp.where(is_present & (is_present.sum() > 1), classes.means - centre, 0)
