"""A metric as a differentiable loss of a network, for curvature."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.derivatives import batched
from repcon_jax.errors import ArgumentError
from repcon_jax.landscape.evaluation import check_needs
from repcon_jax.landscape.metric import ExampleMetric, build_metric
from repcon_jax.models import Network
from repcon_jax.models.recalibration import recalibrate
from repcon_jax.tasks.landscape.bench import LandscapeBench
from repcon_jax.typing import PyTree

Loss = Callable[[Network], Float[Array, ""]]


def smooth_metric(text: str) -> ExampleMetric:
    """The metric of a text, if it can be a loss.

    Raises:
        ArgumentError: it has no number for every example, or no derivatives.
    """
    metric = build_metric(text)
    if not isinstance(metric, ExampleMetric) or not metric.smooth:
        raise ArgumentError("loss", f"is {text!r} but must be smooth, such as kl_divergence or supervised_loss")
    return metric


def loss_of(bench: LandscapeBench, text: str) -> Loss:
    """The mean of a metric over the training part in full batches.

    Args:
        bench: gives data and reference.
        text: the metric, see ``smooth_metric``.
    Raises:
        ArgumentError: the metric needs what is not there.
    """
    metric = smooth_metric(text)
    check_needs(((text, metric),), bench.data)

    def on_batch(network: Network, batch: PyTree) -> Float[Array, ""]:
        images, labels = batch
        reference = None if bench.data.reference is None else bench.data.reference.apply(images)[0]
        return jnp.mean(metric.values(reference, network.apply(images)[0], labels))

    return batched(on_batch, training_batches(bench))


def training_batches(bench: LandscapeBench) -> PyTree:
    """Images [batches, batch, ...], uint8, and labels [batches, batch] or None; an incomplete batch is left out."""
    split = bench.data.splits["train"]
    size = min(bench.config.batch_size, split.images.shape[0])
    count = split.images.shape[0] // size

    def cut(array: Array) -> Array:
        return array[: count * size].reshape(count, size, *array.shape[1:])

    return cut(split.images), None if split.labels is None else cut(split.labels)


def measured(bench: LandscapeBench, network: Network) -> Network:
    """A network with the batch norm statistics with which it is measured, as the config says."""
    if bench.config.batch_norm != "recalibrated":
        return network
    return jax.jit(recalibrate)(network, bench.data.calibration)
