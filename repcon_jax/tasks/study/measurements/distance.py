"""How far two networks of one architecture are apart in parameter space."""

from repcon_jax import trees
from repcon_jax.records.scores import Score
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement
from repcon_jax.tasks.study.subject import Subject


@MEASUREMENTS.register("distance")
def distance() -> Measurement:
    """Euclidean distance and cosine of the encoders' parameters taken as vectors."""

    def measure(subject: Subject) -> dict[str, float] | None:
        first, second = (network.params["encoder"] for network in subject.networks)
        if trees.signature(first) != trees.signature(second):
            return None
        cosine = trees.dot(first, second) / (trees.norm(first) * trees.norm(second))
        return {"euclidean": float(trees.distance(first, second)), "cosine": float(cosine)}

    scores = {"euclidean": Score("distance of encoders"), "cosine": Score("cosine of encoders")}
    return Measurement(measure, scores, of="pair")
