"""Whether examples of a class lie near each other on the sphere."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.classes import by_class
from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore, Labels
from repcon_jax.probing.standardisation import normalise_features
from repcon_jax.records.scores import Score


@GEOMETRY_SCORES.register("alignment")
def build_alignment() -> GeometryScore:
    """The squared distance of two examples of a class, see ``alignment``."""
    score = Score("alignment", higher_is_better=False, about="the squared distance of two examples of a class")
    return GeometryScore(alignment, score, needs_labels=True)


@partial(jax.jit, static_argnames=("num_classes",))
def alignment(features: Features, labels: Labels, num_classes: int) -> Float[Array, ""]:
    """The mean squared distance of two different examples of one class, of features of length 1; in [0, 4].

        mean_{i != j, y_i = y_j} ||x_i - x_j||^2,   ||x_i|| = 1

    The paper's pairs are two views of an image, here two images of a class.

    Args:
        features, labels: [examples, size] and [examples]; features that are all 0 stay so. NaN where no class has two
            examples.
        num_classes: labels lie in 0 .. num_classes - 1.

    Source: Wang and Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity
    (arXiv 2005.10242), section 4.1, with alpha = 2.

    >>> float(alignment(jnp.array([[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]]), jnp.array([0, 0, 1]), 2))
    2.0
    """
    classes = by_class(normalise_features(features, features, "l2")[0], labels, num_classes)
    # Over all ordered pairs of a class of n: sum ||x_i - x_j||^2 = 2 n sum_i ||x_i - mean||^2.
    squares = jnp.sum(jnp.square(classes.deviations), axis=1)
    pairs = classes.counts * (classes.counts - 1)
    return 2 * jnp.sum(classes.counts[labels] * squares) / pairs.sum()
