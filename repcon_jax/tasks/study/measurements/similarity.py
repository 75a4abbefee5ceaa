"""How alike the embeddings of two networks are."""

from repcon_jax.probing import SIMILARITIES
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement
from repcon_jax.tasks.study.subject import Subject

# As in results of earlier versions.
_CALLED = {"linear_cka": "cka"}


@MEASUREMENTS.register("similarity")
def similarity(*, of: str | tuple[str, ...] = "linear_cka") -> Measurement:
    """Similarities of the embeddings of the target's test images; the networks may differ in everything.

    A score bears the name of its similarity; only that of ``linear_cka`` is called ``cka``.

    Args:
        of: a name of ``repcon_jax.probing.SIMILARITIES``, with options where they differ from the defaults, or several.
    Raises:
        ArgumentError: none is named, one twice, or one that does not exist.
    """
    chosen = {_CALLED.get(name, name): one for name, one in SIMILARITIES.read_several(of, "of").items()}

    def measure(subject: Subject) -> dict[str, float]:
        features = subject.test_features(0), subject.test_features(1)
        return {name: float(one(*features, subject.key)) for name, one in chosen.items()}

    scores = {name: one.score for name, one in chosen.items()}
    return Measurement(measure, scores, of="pair", needs=frozenset({"target"}), reads_features=True)
