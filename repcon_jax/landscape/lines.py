"""What lies on the straight line between two networks of one architecture."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from repcon_jax.landscape.evaluation import BatchNorm, Evaluation, LandscapeData
from repcon_jax.landscape.metric import build_metric
from repcon_jax.landscape.paths import linear_path
from repcon_jax.landscape.surfaces import on_path, states_for
from repcon_jax.models import Network

Walk = Callable[[Network, Network], dict[str, Float[np.ndarray, " points"]]]

# Equal texts give the same metric, and equal evaluations the same program: one is compiled for all pairs of a model.
_metric = functools.cache(build_metric)
_evaluate = jax.jit(Evaluation.evaluate, static_argnums=0)


def walk_between(
    network: Network,
    data: LandscapeData,
    metrics: Sequence[str],
    *,
    num_points: int = 11,
    batch_norm: BatchNorm = "recalibrated",
    num_classes: int = 0,
    batch_size: int = 256,
) -> Walk:
    """A function of two networks that measures metrics at points of the line between them.

    Args:
        network: gives model and pixels of all that are measured.
        data: what is measured on; example metrics are measured on its only split.
        metrics: as ``landscape.metric.build_metric`` takes them, each with a number for every example.
        num_points: on the line, ends included.
        batch_norm: running statistics on the way, see ``Evaluation``.
        num_classes: of the labels.
        batch_size: examples at once.
    Returns:
        ``walk(first, second) -> {metric: [points]}``.
    """
    (part,) = data.splits
    evaluation = Evaluation(
        model=network.model,
        pixels=network.pixels,
        locate=on_path,
        metrics=tuple((text, _metric(text)) for text in metrics),
        batch_norm=batch_norm,
        num_classes=num_classes,
        batch_size=batch_size,
        measured_on=(part,),
    )
    points: Float[Array, "points 1"] = jnp.linspace(0, 1, num_points)[:, None]

    def walk(first: Network, second: Network) -> dict[str, Float[np.ndarray, " points"]]:
        states = states_for(batch_norm, [first.model_state, second.model_state])
        values = _evaluate(evaluation, (linear_path(first.params, second.params), states), data, points)
        return {metric: np.asarray(values[f"{part}/{metric}"], float) for metric in metrics}

    return walk
