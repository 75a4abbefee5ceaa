"""How far examples lie from the mean of their class."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.classes import by_class
from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore, Labels
from repcon_jax.records.scores import Score


@GEOMETRY_SCORES.register("intra_class_variance")
def build_intra_class_variance() -> GeometryScore:
    """The variance within classes, see ``intra_class_variance``."""
    return GeometryScore(intra_class_variance, Score("intra-class variance", scale="log"), needs_labels=True)


@partial(jax.jit, static_argnames=("num_classes",))
def intra_class_variance(features: Features, labels: Labels, num_classes: int) -> Float[Array, ""]:
    """The mean squared distance of an example to the mean of its class.

        1/n sum_i ||x_i - m(y_i)||^2

    With ``inter_class_variance`` it adds up to the total variance. It grows with the scale of the features.

    Args:
        features, labels: [examples, size] and [examples].
        num_classes: labels lie in 0 .. num_classes - 1.

    >>> float(intra_class_variance(jnp.array([[1.0], [3.0], [8.0], [8.0]]), jnp.array([0, 0, 1, 1]), 2))
    0.5
    """
    return jnp.mean(jnp.sum(jnp.square(by_class(features, labels, num_classes).deviations), axis=1))
