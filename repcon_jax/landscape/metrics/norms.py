"""How long the parameter vector is at a point."""

from typing import Literal

from jaxtyping import Array, Float

from repcon_jax import trees
from repcon_jax.landscape.metric import METRICS, ParameterMetric
from repcon_jax.records.scores import Score
from repcon_jax.typing import Params


@METRICS.register("norm")
def norm(*, part: Literal["all", "encoder", "head"] = "all") -> ParameterMetric:
    """Euclidean norm of the parameters.

    Args:
        part: of everything, the encoder or the head.
    """

    def value(params: Params) -> Float[Array, ""]:
        return trees.norm(params if part == "all" else params[part])

    return ParameterMetric(value, Score("norm"))
