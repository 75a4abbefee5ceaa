"""Names of types that every room shares."""

from typing import Any

from repcon_jax.random import Key

PyTree = Any
Params = PyTree
ModelState = PyTree
Metrics = dict[str, Any]
MetricRows = list[dict[str, float]]

__all__ = ["Key", "MetricRows", "Metrics", "ModelState", "Params", "PyTree"]
