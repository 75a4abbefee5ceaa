"""How the embeddings of a network lie in their space."""

import jax.numpy as jnp

from repcon_jax.probing import GEOMETRY_SCORES
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement
from repcon_jax.tasks.study.subject import Subject


@MEASUREMENTS.register("geometry")
def geometry(*, of: str | tuple[str, ...] = ("effective_rank", "participation_ratio", "dead_units")) -> Measurement:
    """Scores of the embeddings of the target's test images, each by its name; nothing is fitted.

    Args:
        of: a name of ``repcon_jax.probing.GEOMETRY_SCORES``, with options where they differ from the defaults, or
            several; the target needs labels where one of them does.
    Raises:
        ArgumentError: none is named, one twice, or one that does not exist.
    """
    chosen = GEOMETRY_SCORES.read_several(of, "of")
    needs_labels = any(one.needs_labels for one in chosen.values())

    def measure(subject: Subject) -> dict[str, float]:
        labels = (jnp.asarray(subject.test.labels), subject.num_classes) if needs_labels else ()
        return {name: float(one(subject.test_features(), *labels)) for name, one in chosen.items()}

    needs, scores = {"labels" if needs_labels else "target"}, {name: one.score for name, one in chosen.items()}
    return Measurement(measure, scores, needs=frozenset(needs), reads_features=True)
