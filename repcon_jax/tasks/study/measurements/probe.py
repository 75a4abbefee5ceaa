"""How well a probe reads the target's labels from a network's embeddings."""

import jax.numpy as jnp

from repcon_jax.probing import PROBES
from repcon_jax.records.scores import ACCURACY
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement
from repcon_jax.tasks.study.subject import Subject


@MEASUREMENTS.register("probe")
def probe(*, probe: str = "linear_tuned") -> Measurement:
    """The accuracy on the target's test set of a probe that is fitted on the training examples drawn.

    Args:
        probe: a name of ``repcon_jax.probing.PROBES``, with options where they differ from the defaults.
    """
    fitted = PROBES.parse(probe, "probe")

    def measure(subject: Subject) -> dict[str, float]:
        features = subject.train_features(), subject.test_features()
        labels = [jnp.asarray(part.labels, jnp.int32) for part in (subject.train, subject.test)]
        accuracy, _ = fitted(features[0], labels[0], features[1], labels[1], subject.num_classes, subject.key)
        return {"accuracy": float(accuracy)}

    return Measurement(measure, {"accuracy": ACCURACY}, needs=frozenset({"training"}))
