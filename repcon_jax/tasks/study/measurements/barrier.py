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
    outputs on the way from those of the first network. Two networks of different architectures give no row.

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
        if signature(first.params) != signature(second.params):
            return None
        classifies = _outputs(subject) == subject.num_classes
        metrics = {"error": "error", "loss": "supervised_loss"} if classifies else {"kl": "kl_divergence"}
        test = Split(jnp.asarray(subject.test.images), jnp.asarray(subject.test.labels, jnp.int32))
        key, size = stream(subject.key, "calibration"), subject.batch_size
        data = LandscapeData(
            {"test": test},
            calibration_batches(subject.splits.train.images, examples, size, key),
            None if classifies else first,
            key,
        )
        chosen = tuple(metrics.values())
        walk = walk_between(first, data, chosen, num_points=num_points, batch_norm=batch_norm, batch_size=size)
        values = walk(first, second)
        return {score: float(barrier_of(values[metric])) for score, metric in metrics.items()}

    scores = {
        "error": Score("test error barrier", "fraction", higher_is_better=False),
        "loss": Score("test loss barrier", "nats", higher_is_better=False),
        "kl": Score("barrier of the KL divergence from the first", "nats", higher_is_better=False),
    }
    return Measurement(measure, scores, of="pair", needs=frozenset({"labels"}))


def _outputs(subject: Subject) -> int | None:
    """Number of logits of the networks; None where there are several heads."""
    logits = jax.eval_shape(subject.network.apply, subject.test.images[:1])[0].logits
    return None if isinstance(logits, dict) else logits.shape[-1]
