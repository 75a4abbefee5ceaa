"""How well a probe reads the target's labels from a network's embeddings."""

import jax.numpy as jnp

from repcon_jax.probing import PROBES
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement
from repcon_jax.tasks.study.subject import Subject


@MEASUREMENTS.register("probe")
def probe(*, probe: str = "linear_tuned") -> Measurement:
    """What a probe that is fitted on the training examples drawn scores on the target's test set.

    Args:
        probe: a name of ``repcon_jax.probing.PROBES``, with options where they differ from the defaults.
    """
    chosen = PROBES.parse(probe, "probe")

    def measure(subject: Subject) -> dict[str, float]:
        train, test = (jnp.asarray(part.labels, jnp.int32) for part in (subject.train, subject.test))
        features = subject.train_features(), subject.test_features()
        value, _ = chosen.fit_and_score(features[0], train, features[1], test, subject.num_classes, subject.key)
        return {"value": float(value)}

    return Measurement(measure, {"value": chosen.score}, needs=frozenset({"training"}))
