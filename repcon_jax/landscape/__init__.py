"""Where are we in the loss landscape: paths, planes, barriers and curvature, as functions of trees."""

from repcon_jax import moved
from repcon_jax.landscape.barriers import all_pairs, barrier, barrier_over_mean, instability
from repcon_jax.landscape.curvature import hessian_trace, leading_eigenpairs
from repcon_jax.landscape.directions import filter_normalise, layer_normalise, principal_directions, random_direction
from repcon_jax.landscape.evaluation import Evaluation, LandscapeData, Split
from repcon_jax.landscape.fisher import fisher_trace
from repcon_jax.landscape.metric import METRICS, build_metric
from repcon_jax.landscape.paths import PATHS, Path, bezier_path, curve, linear_path, piecewise_path, spherical_path
from repcon_jax.landscape.planes import (
    Plane,
    extent_around,
    grid,
    map_to_tree,
    plane_along,
    plane_through,
    project,
    residual,
)
from repcon_jax.landscape.sharpness import sharpness
from repcon_jax.landscape.slopes import one_sided_slopes, valley_asymmetry

__all__ = [
    "METRICS",
    "PATHS",
    "Evaluation",
    "LandscapeData",
    "Path",
    "Plane",
    "Split",
    "all_pairs",
    "barrier",
    "barrier_over_mean",
    "bezier_path",
    "build_metric",
    "curve",
    "extent_around",
    "filter_normalise",
    "fisher_trace",
    "grid",
    "hessian_trace",
    "instability",
    "layer_normalise",
    "leading_eigenpairs",
    "linear_path",
    "map_to_tree",
    "one_sided_slopes",
    "piecewise_path",
    "plane_along",
    "plane_through",
    "principal_directions",
    "project",
    "random_direction",
    "residual",
    "sharpness",
    "spherical_path",
    "valley_asymmetry",
]

__getattr__ = moved.getattr_of(__name__)
