"""How far the means of classes lie from each other."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.classes import by_class
from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore, Labels
from repcon_jax.records.scores import Score


@GEOMETRY_SCORES.register("inter_class_variance")
def build_inter_class_variance() -> GeometryScore:
    """The variance between classes, see ``inter_class_variance``."""
    return GeometryScore(inter_class_variance, Score("inter-class variance", scale="log"), needs_labels=True)


@partial(jax.jit, static_argnames=("num_classes",))
def inter_class_variance(features: Features, labels: Labels, num_classes: int) -> Float[Array, ""]:
    """The mean squared distance of the mean of an example's class to the mean of all examples.

        1/n sum_i ||m(y_i) - m||^2

    With ``intra_class_variance`` it adds up to the total variance. It grows with the scale of the features.

    Args:
        features, labels: [examples, size] and [examples].
        num_classes: labels lie in 0 .. num_classes - 1.

    >>> float(inter_class_variance(jnp.array([[1.0], [3.0], [8.0], [8.0]]), jnp.array([0, 0, 1, 1]), 2))
    9.0
    """
    classes = by_class(features, labels, num_classes)
    return jnp.sum(classes.counts * jnp.sum(jnp.square(classes.means), axis=1)) / len(labels)
