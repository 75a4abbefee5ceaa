"""What lies between two networks of one architecture."""

import jax
import jax.numpy as jnp

from repcon_jax.errors import check_range
from repcon_jax.landscape.barriers import barrier as barrier_of
from repcon_jax.landscape.evaluation import BatchNorm, LandscapeData, Split, calibration_batches
from repcon_jax.landscape.lines import walk_between
from repcon_jax.random import stream
from repcon_jax.records.scores import Score
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement
from repcon_jax.tasks.study.subject import Subject
from repcon_jax.trees import signature


@MEASUREMENTS.register("barrier")
def barrier(
    *,
    num_points: int = 11,
    batch_norm: BatchNorm = "recalibrated",
    examples: int = 2048,
) -> Measurement:
    """The highest rise above the straight line between two networks, on the target's test set.

    Where their heads have the target's classes it is that of error and loss; otherwise that of the KL divergence of the
    outputs on the way from those of the first network. Two networks of different architectures, or with several heads,
    give no row.

    Args:
        num_points: on the line, ends included.
        batch_norm: running statistics on the way, see ``repcon_jax.landscape.evaluation``.
        examples: training images on which these are measured.

    Source: Frankle et al., arXiv 1912.05671, section 2.
    """
    check_range("num_points", num_points, 3)
    check_range("examples", examples, 1)

    def measure(subject: Subject) -> dict[str, float] | None:
        first, second = subject.networks
        metrics = _metrics(subject)
        if metrics is None or signature(first.params) != signature(second.params):
            return None
        test = Split(jnp.asarray(subject.test.images), jnp.asarray(subject.test.labels, jnp.int32))
        key, size = stream(subject.key, "calibration"), subject.batch_size
        calibration = calibration_batches(subject.splits.train.images, examples, size, key)
        data = LandscapeData({"test": test}, calibration, first if "kl" in metrics else None, key)
        chosen = tuple(metrics.values())
        walk = walk_between(first, data, chosen, num_points=num_points, batch_norm=batch_norm, batch_size=size)
        values = walk(first, second)
        return {score: float(barrier_of(values[metric])) for score, metric in metrics.items()}

    scores = {
        "error": Score("test error barrier", "fraction", higher_is_better=False),
        "loss": Score("test loss barrier", "nats", higher_is_better=False),
        "kl": Score("KL divergence barrier", "nats", higher_is_better=False),
    }
    return Measurement(measure, scores, of="pair", needs=frozenset({"labels"}))


def _metrics(subject: Subject) -> dict[str, str] | None:
    """The metrics of the walk by the score that each gives; None for networks with several heads."""
    images = jax.ShapeDtypeStruct((1, *subject.test.images.shape[1:]), subject.test.images.dtype)
    logits = jax.eval_shape(subject.network.apply, images)[0].logits
    if isinstance(logits, dict):
        return None
    if logits.shape[-1] == subject.num_classes:
        return {"error": "error", "loss": "supervised_loss"}
    return {"kl": "kl_divergence"}
