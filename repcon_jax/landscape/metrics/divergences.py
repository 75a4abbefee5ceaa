"""How far the outputs at a point are from those of a reference network, usually the teacher."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax import losses
from repcon_jax.landscape.metric import METRICS, ExampleMetric
from repcon_jax.models import Outputs

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
        return losses.kl_divergences(reference.logits, outputs.logits, teacher_temperature, student_temperature)

    return ExampleMetric(values, REFERENCE)


@METRICS.register("cross_entropy")
def cross_entropy(*, teacher_temperature: float = 1.0, student_temperature: float = 1.0) -> ExampleMetric:
    """Cross-entropy of the output distribution under the reference's, in nats; what distillation minimises.

    Args:
        teacher_temperature, student_temperature: divide the logits.
    """

    def values(reference: Outputs, outputs: Outputs, labels: Labels) -> PerExample:
        return losses.cross_entropies(reference.logits, outputs.logits, teacher_temperature, student_temperature)

    return ExampleMetric(values, REFERENCE)


@METRICS.register("mean_squared_error")
def mean_squared_error() -> ExampleMetric:
    """Mean over the outputs of (reference logits - logits)^2."""

    def values(reference: Outputs, outputs: Outputs, labels: Labels) -> PerExample:
        return jnp.mean(jnp.square(reference.logits - outputs.logits), axis=-1)

    return ExampleMetric(values, REFERENCE)


@METRICS.register("embedding_kl_divergence")
def embedding_kl_divergence() -> ExampleMetric:
    """KL between the softmax of the reference's embedding and that of the embedding, in nats.

    Source: Random Teachers are Good Teachers (arXiv 2302.12091), figure 15.
    """

    def values(reference: Outputs, outputs: Outputs, labels: Labels) -> PerExample:
        return losses.kl_divergences(reference.embedding, outputs.embedding)

    return ExampleMetric(values, REFERENCE)
