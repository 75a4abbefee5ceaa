"""How alike the embeddings of two networks are."""

from repcon_jax.probing.similarity import linear_cka
from repcon_jax.records.scores import Score
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement
from repcon_jax.tasks.study.subject import Subject


@MEASUREMENTS.register("similarity")
def similarity() -> Measurement:
    """Linear CKA of the embeddings of the target's test images; the networks may differ in everything."""

    def measure(subject: Subject) -> dict[str, float]:
        return {"cka": float(linear_cka(subject.test_features(0), subject.test_features(1)))}

    needs, scores = frozenset({"target"}), {"cka": Score("linear CKA")}
    return Measurement(measure, scores, of="pair", needs=needs, reads_features=True)
