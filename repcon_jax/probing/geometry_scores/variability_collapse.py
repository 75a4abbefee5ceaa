"""Neural collapse, its first sign (NC1): examples of a class become one point."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.probing.classes import by_class, equally_weighted
from repcon_jax.probing.geometry import GEOMETRY_SCORES, Features, GeometryScore, Labels
from repcon_jax.probing.pairwise import product
from repcon_jax.records.scores import Score
from repcon_jax.typing import Scalar


@GEOMETRY_SCORES.register("variability_collapse")
def build_variability_collapse(*, tolerance: float = 1e-5) -> GeometryScore:
    """NC1, see ``variability_collapse``.

    Args:
        tolerance: singular values of the class means below this share of the largest count as zero.
    Raises:
        ArgumentError: the tolerance does not lie in [0, 1).
    """
    check_range("tolerance", tolerance, 0, 1, open_high=True)
    score = Score("NC1", scale="log", about="variability within classes relative to that between them")
    return GeometryScore(
        lambda features, labels, num_classes: variability_collapse(features, labels, num_classes, tolerance),
        score,
        needs_labels=True,
    )


@partial(jax.jit, static_argnames=("num_classes",))
def variability_collapse(
    features: Features, labels: Labels, num_classes: int, tolerance: Scalar = 1e-5
) -> Float[Array, ""]:
    """The variability within classes relative to that between them; 0 where every class is one point.

        NC1 = tr(S_w S_b^+) / C

    where S_w is the mean covariance of a class, S_b the covariance of the class means, and every one of the C classes
    that have examples counts the same.

    Args:
        features, labels: [examples, size] and [examples]; NaN where there is one class or all means coincide.
        num_classes: labels lie in 0 .. num_classes - 1.
        tolerance: singular values of the class means below this share of the largest count as zero.

    Source: Papyan et al., Prevalence of neural collapse (arXiv 2008.08186), figure 6.
    """
    classes = by_class(features, labels, num_classes)
    # With M = A S V^T, a row a class: S_b^+ = C V S^-2 V^T, so that no matrix [size, size] is needed.
    _, values, directions = jnp.linalg.svd(equally_weighted(classes), full_matrices=False)
    is_kept = values > tolerance * values[0]
    squares = jnp.square(product(classes.deviations, directions.T)) / classes.counts[labels][:, None]
    ratios = squares.sum(0) / (classes.counts > 0).sum() / jnp.where(is_kept, jnp.square(values), jnp.inf)
    return jnp.where(is_kept.any(), ratios.sum(), jnp.nan)
