"""How well the head's logits at a point tell the labels."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax import losses
from repcon_jax.landscape.metric import METRICS, ExampleMetric
from repcon_jax.models import Outputs
from repcon_jax.records.scores import Score

PerExample = Float[Array, " batch"]
LABELS = frozenset({"labels"})


@METRICS.register("supervised_loss")
def supervised_loss() -> ExampleMetric:
    """-log softmax(logits)[label], in nats."""

    def values(reference: Outputs | None, outputs: Outputs, labels: Int[Array, " batch"]) -> PerExample:
        return losses.softmax_cross_entropies_with_labels(outputs.logits, labels)

    return ExampleMetric(values, Score("supervised loss", "nats", higher_is_better=False), LABELS)


@METRICS.register("error")
def error() -> ExampleMetric:
    """1 where the largest logit is not the label's, otherwise 0; its mean is the error in [0, 1]."""

    def values(reference: Outputs | None, outputs: Outputs, labels: Int[Array, " batch"]) -> PerExample:
        return (jnp.argmax(outputs.logits, axis=-1) != labels).astype(jnp.float32)

    return ExampleMetric(values, Score("error", "fraction", higher_is_better=False), LABELS, smooth=False)
