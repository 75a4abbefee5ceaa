"""Neural collapse, its second sign (NC2), of lengths: all class means lie equally far from their centre."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.classes import by_class, equally_weighted
from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore, Labels
from repcon_jax.records.scores import Score


@GEOMETRY_SCORES.register("equinorm_deviation")
def build_equinorm_deviation() -> GeometryScore:
    """NC2 of lengths, see ``equinorm_deviation``."""
    score = Score("NC2 of lengths", about="how unequally far the class means lie from their centre")
    return GeometryScore(equinorm_deviation, score, needs_labels=True)


@partial(jax.jit, static_argnames=("num_classes",))
def equinorm_deviation(features: Features, labels: Labels, num_classes: int) -> Float[Array, ""]:
    """The relative deviation of the lengths of centred class means; 0 where all are equal.

        std_c ||m_c - m|| / mean_c ||m_c - m||,   m the mean of the class means m_c

    Args:
        features, labels: [examples, size] and [examples]; NaN where there is one class.
        num_classes: labels lie in 0 .. num_classes - 1; classes without examples are left out.

    Source: Papyan et al., Prevalence of neural collapse (arXiv 2008.08186), figure 2.
    """
    classes = by_class(features, labels, num_classes)
    lengths, is_present = jnp.linalg.norm(equally_weighted(classes), axis=1), classes.counts > 0
    return jnp.std(lengths, where=is_present) / jnp.mean(lengths, where=is_present)
