"""What is pruned as one, and the registry that finds ``lottery/structures/``.

A file there registers a builder whose options give a structure: a function ``(scores, mask, prunable, density,
distribution, model) -> mask`` from scores, of which the larger are kept, to a mask nested in the given one at a density
of what may be pruned.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np

from repcon_jax.models import Model
from repcon_jax.options.registry import Registry
from repcon_jax.typing import PyTree

STRUCTURES = Registry("structure", "repcon_jax.lottery.structures")
Structure = Callable[[PyTree, PyTree, PyTree, float, str, Model | None], PyTree]
Aggregate = Literal["l2", "sum"]


def build_structure(text: str, field: str = "structure") -> Structure:
    """The structure of a text such as ``"unstructured"`` or ``"n_of_m(m=4)"``.

    Args:
        text: a name, with options where they differ from the defaults.
        field: config field that it stands in, for messages.
    Raises:
        ConfigError: no structure has that name, or an option does not fit.

    >>> import jax.numpy as jnp
    >>> prune, scores = build_structure("n_of_m(m=2)"), {"kernel": jnp.array([[1.0], [2.0]])}
    >>> prune(scores, {"kernel": jnp.ones((2, 1), bool)}, {"kernel": True}, 0.5, "global", None)["kernel"].tolist()
    [[False], [True]]
    """
    return STRUCTURES.parse(text, field)


def aggregated(leaf: Any, axes: tuple[int, ...], aggregate: Aggregate) -> np.ndarray:
    """One score, in float64, for all entries along some axes: the root of summed squares, or the sum."""
    values = np.asarray(leaf).astype(np.float64)
    return np.sqrt(np.sum(values * values, axis=axes)) if aggregate == "l2" else np.sum(values, axis=axes)


def masked(scores: PyTree, mask: PyTree) -> PyTree:
    """The scores with zero where the mask is False."""
    return jax.tree.map(lambda score, kept: np.where(np.asarray(kept), np.asarray(score), 0), scores, mask)
