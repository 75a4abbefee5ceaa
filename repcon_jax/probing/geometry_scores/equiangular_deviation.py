"""Neural collapse, its second sign (NC2), of angles: all class means point as far apart as they can."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.probing.classes import by_class, equally_weighted
from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore, Labels
from repcon_jax.probing.pairwise import product
from repcon_jax.records.scores import Score


@GEOMETRY_SCORES.register("equiangular_deviation")
def build_equiangular_deviation() -> GeometryScore:
    """NC2 of angles, see ``equiangular_deviation``."""
    score = Score("NC2 of angles", about="how far the cosines of class means are from those of a simplex")
    return GeometryScore(equiangular_deviation, score, needs_labels=True)


@partial(jax.jit, static_argnames=("num_classes",))
def equiangular_deviation(features: Features, labels: Labels, num_classes: int) -> Float[Array, ""]:
    """How far the cosines of centred class means are from those of a simplex; 0 where they are its corners.

        mean_{c != d} |cos(m_c - m, m_d - m) + 1 / (C - 1)|,   m the mean of the class means m_c

    Args:
        features, labels: [examples, size] and [examples]; NaN where there is one class, or a class mean is m.
        num_classes: labels lie in 0 .. num_classes - 1; only the C classes that have examples count.

    Source: Papyan et al., Prevalence of neural collapse (arXiv 2008.08186), figure 4.
    """
    classes = by_class(features, labels, num_classes)
    means, is_present = equally_weighted(classes), classes.counts > 0
    units = means / jnp.linalg.norm(means, axis=1, keepdims=True)
    is_pair = is_present[:, None] & is_present & ~jnp.eye(num_classes, dtype=bool)
    deviations = jnp.abs(product(units, units.T) + 1 / (is_present.sum() - 1))
    return jnp.mean(deviations, where=is_pair)
