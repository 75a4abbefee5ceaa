"""How well a network would transfer to the target, by a score that trains nothing."""

import jax.numpy as jnp

from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement
from repcon_jax.tasks.study.subject import Subject
from repcon_jax.transfer import TRANSFER_SCORES


@MEASUREMENTS.register("transfer")
def transfer(*, score: str = "h_score") -> Measurement:
    """A transfer score of the embeddings of the training examples drawn.

    Args:
        score: a name of ``repcon_jax.transfer.TRANSFER_SCORES``, with options where they differ from the defaults.
    """
    chosen = TRANSFER_SCORES.read(score, "score")

    def measure(subject: Subject) -> dict[str, float]:
        given = subject.train_features(), jnp.asarray(subject.train.labels), subject.num_classes
        logits = (subject.train_logits(),) if chosen.needs_logits else ()
        return {"score": float(chosen.value(*given, *logits))}

    return Measurement(measure, {"score": chosen.score}, needs=frozenset({"training"}), reads_features=True)
