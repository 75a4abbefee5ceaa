"""How far the outputs at a point are from those of a reference network, usually the teacher."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax import losses
from repcon_jax.errors import ArgumentError
from repcon_jax.landscape.metric import METRICS, ExampleMetric
from repcon_jax.models import Outputs
from repcon_jax.records.scores import Score

PerExample = Float[Array, " batch"]
Labels = Int[Array, " batch"] | None
REFERENCE = frozenset({"reference"})


@METRICS.register("kl_divergence")
def kl_divergence(*, teacher_temperature: float = 1.0, student_temperature: float = 1.0) -> ExampleMetric:
    """KL(softmax(reference logits), softmax(logits)) in nats, see ``repcon_jax.losses.kl_divergences``.

    Args:
        teacher_temperature, student_temperature: divide the logits.
    """

    def values(reference: Outputs, outputs: Outputs, labels: Labels) -> PerExample:
        return losses.kl_divergences(*_logits(reference, outputs), teacher_temperature, student_temperature)

    return ExampleMetric(values, Score("KL divergence", "nats", higher_is_better=False, scale="log"), REFERENCE)


@METRICS.register("cross_entropy")
def cross_entropy(*, teacher_temperature: float = 1.0, student_temperature: float = 1.0) -> ExampleMetric:
    """Cross-entropy of the output distribution under the reference's, in nats; what distillation minimises.

    Args:
        teacher_temperature, student_temperature: divide the logits.
    """

    def values(reference: Outputs, outputs: Outputs, labels: Labels) -> PerExample:
        return losses.cross_entropies(*_logits(reference, outputs), teacher_temperature, student_temperature)

    return ExampleMetric(values, Score("cross-entropy", "nats", higher_is_better=False), REFERENCE)


@METRICS.register("mean_squared_error")
def mean_squared_error() -> ExampleMetric:
    """Mean over the outputs of (reference logits - logits)^2."""

    def values(reference: Outputs, outputs: Outputs, labels: Labels) -> PerExample:
        first, second = _logits(reference, outputs)
        return jnp.mean(jnp.square(first - second), axis=-1)

    return ExampleMetric(values, Score("mean squared error", higher_is_better=False, scale="log"), REFERENCE)


@METRICS.register("embedding_kl_divergence")
def embedding_kl_divergence() -> ExampleMetric:
    """KL between the softmax of the reference's embedding and that of the embedding, in nats.

    Source: Random Teachers are Good Teachers (arXiv 2302.12091), figure 15.
    """

    def values(reference: Outputs, outputs: Outputs, labels: Labels) -> PerExample:
        return losses.kl_divergences(*_of_one_size("an embedding", reference.embedding, outputs.embedding))

    return ExampleMetric(
        values, Score("embedding KL divergence", "nats", higher_is_better=False, scale="log"), REFERENCE
    )


def _logits(reference: Outputs, outputs: Outputs) -> tuple[Array, Array]:
    return _of_one_size("logits", reference.logits, outputs.logits)


def _of_one_size(what: str, first: Array, second: Array) -> tuple[Array, Array]:
    """Both, unless broadcasting would compare one number with many."""
    if first.shape != second.shape:
        raise ArgumentError(
            "reference",
            f"has {what} of size {first.shape[-1]} where the network's size is {second.shape[-1]}",
            "name a reference of the same size, or take metrics that do not compare them",
        )
    return first, second
