"""How well a probe reads the target's labels from a network's embeddings."""

from repcon_jax.probing import PROBES, run_probes
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement, Reading
from repcon_jax.tasks.study.subject import Subject


@MEASUREMENTS.register("probe")
def probe(*, probe: str = "linear_tuned") -> Measurement:
    """What a probe that is fitted on the training examples drawn scores on the target's test set.

    Args:
        probe: a name of ``repcon_jax.probing.PROBES``, with options where they differ from the defaults.
    """
    chosen = PROBES.read(probe, "probe")

    def measure(subject: Subject) -> dict[str, Reading]:
        train = subject.train_features(), subject.train.labels
        test = subject.test_features(), subject.test.labels
        result = run_probes((probe,), *train, *test, subject.num_classes, subject.key)[probe]
        return {"value": Reading(result.pop("value"), result)}

    needs, scores = frozenset({"training"}), {"value": chosen.score}
    examples = chosen.examples_needed
    return Measurement(measure, scores, needs=needs, examples_needed=examples, reads_features=True)
