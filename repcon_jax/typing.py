"""Names of types that every room shares."""

from typing import Any

from jaxtyping import Array, Float

from repcon_jax.random import Key

PyTree = Any
Params = PyTree
ModelState = PyTree
Metrics = dict[str, Any]
MetricRows = list[dict[str, float]]
# An option of this type may differ between the members of a population, where it is a traced array.
Scalar = float | Float[Array, ""]

__all__ = ["Key", "MetricRows", "Metrics", "ModelState", "Params", "PyTree", "Scalar"]
