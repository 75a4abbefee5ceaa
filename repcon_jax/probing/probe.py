"""What a probe is, and the registry that finds the files of ``repcon_jax/probing/probes/``."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.options.registry import Registry
from repcon_jax.records.scores import ACCURACY, Score

Details = dict[str, Any]

PROBES = Registry("probe", "repcon_jax.probing.probes")


def accuracy_of_most_frequent_class(
    train_labels: Int[Array, " train"], test_labels: Int[Array, " test"], num_classes: int
) -> Float[Array, ""]:
    """The accuracy of always answering the most frequent training class.

    >>> float(accuracy_of_most_frequent_class(jnp.array([0, 1, 1]), jnp.array([0, 1]), 2))
    0.5
    """
    most_frequent = jnp.argmax(jnp.bincount(train_labels, length=num_classes))
    return jnp.mean((test_labels == most_frequent).astype(jnp.float32))


@dataclasses.dataclass(frozen=True)
class Probe:
    """A reader of features, and what its number means.

    Args:
        fit_and_score: train features, train labels, test features, test labels, number of classes, key -> (value,
            details). Features are float32 [examples, features], labels int32 [examples] in 0 .. num_classes - 1; the
            value is a float32 scalar. The details are named scalars and texts: ``train_accuracy``, what was chosen and
            its ``held_out_accuracy`` (None where nothing was held out), the ``normalisation`` of the features, and
            whether the solver ``converged`` (True where nothing has to).
        score: what the value means.
        examples_needed: the smallest training set that it can be fitted to.
        without_features: train labels, test labels, number of classes -> the value of an answer that ignores the
            features, which counts where they are NaN or infinite; None for that of features that are all 0.
    """

    fit_and_score: Callable[..., tuple[Float[Array, ""], Details]]
    score: Score = ACCURACY
    examples_needed: int = 2
    without_features: Callable[..., Float[Array, ""]] | None = None
