"""Names of types that every room shares."""

from typing import Any

from repcon_jax.random import Key

PyTree = Any
Params = PyTree
ModelState = PyTree
Metrics = dict[str, Any]

__all__ = ["Key", "Metrics", "ModelState", "Params", "PyTree"]
