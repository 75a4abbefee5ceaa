"""A metric as a differentiable loss of the parameters, for curvature."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.data import to_float
from repcon_jax.derivatives import batched
from repcon_jax.errors import ConfigError
from repcon_jax.landscape.evaluation import check_needs
from repcon_jax.landscape.metric import ExampleMetric, build_metric
from repcon_jax.models.pixels import normalise
from repcon_jax.models.recalibration import recalibrate
from repcon_jax.run.references import Network
from repcon_jax.tasks.landscape.bench import LandscapeBench
from repcon_jax.typing import ModelState, Params, PyTree

Loss = Callable[[Params, ModelState], Float[Array, ""]]


def loss_of(bench: LandscapeBench, text: str) -> Loss:
    """The mean of a metric over the training part in full batches: params, batch norm statistics -> loss.

    Args:
        bench: gives data and reference.
        text: the metric, one that has a number for every example.
    Raises:
        ConfigError: the metric is of another kind, or needs what is not there.
    """
    metric = build_metric(text)
    if not isinstance(metric, ExampleMetric) or text == "error":
        raise ConfigError(f"analysis.loss is {text!r} but must be smooth, such as kl_divergence or supervised_loss.")
    check_needs(((text, metric),), bench.data)

    def on_batch(network: tuple[Params, ModelState], batch: PyTree) -> Float[Array, ""]:
        images, labels = batch
        outputs = bench.model.apply(*network, images, False)[0]
        reference = bench.model.apply(*bench.data.reference, images, False)[0] if bench.data.reference else None
        return jnp.mean(metric.values(reference, outputs, labels))

    mean = batched(on_batch, training_batches(bench))
    return lambda params, model_state: mean((params, model_state))


def training_batches(bench: LandscapeBench) -> PyTree:
    """Normalised images [batches, batch, ...] and labels [batches, batch] or None; an incomplete batch is left out."""
    split, data = bench.data.splits["train"], bench.data
    size = min(bench.config.batch_size, split.images.shape[0])
    count = split.images.shape[0] // size

    def cut(array: Array) -> Array:
        return array[: count * size].reshape(count, size, *array.shape[1:])

    images = normalise(to_float(cut(split.images)), data.mean, data.std)
    return images, None if split.labels is None else cut(split.labels)


def state_of(bench: LandscapeBench, network: Network) -> ModelState:
    """The batch norm statistics with which a network is measured, as the config says."""
    if bench.config.batch_norm != "recalibrated":
        return network.model_state
    images = normalise(to_float(bench.data.calibration), bench.data.mean, bench.data.std)
    return jax.jit(recalibrate, static_argnums=0)(bench.model.apply, network.params, network.model_state, images)
