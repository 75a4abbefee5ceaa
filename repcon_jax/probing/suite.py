"""All probes of one representation in one call."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from repcon_jax.errors import DataError
from repcon_jax.probing.probe import PROBES
from repcon_jax.probing.stratification import stratified_ranks
from repcon_jax.random import stream
from repcon_jax.typing import Key

# The underscore keeps the annotation from comparing sizes: check_examples does, in a sentence for the user.
Features = Float[Array | np.ndarray, "_examples _features"]
Labels = Int[Array | np.ndarray, "_examples"]


def run_probes(
    probes: tuple[str, ...],
    train_features: Features,
    train_labels: Labels,
    test_features: Features,
    test_labels: Labels,
    num_classes: int,
    key: Key,
    train_size: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Fits each probe on the training features and scores it on the test features.

    Features with NaN or infinite entries, or so large that their squares overflow, are a result and not an error:
    the value is that of an answer that ignores them, and ``finite`` is False.

    Args:
        probes: names or calls, such as ``("linear", "knn(neighbours=5)")``; they name the results.
        train_features, test_features: [examples, features].
        train_labels, test_labels: [examples], in 0 .. num_classes - 1.
        num_classes: number of classes of the data set, even where some are absent.
        key: decides batches, initialisations and held-out parts; one stream for each probe.
        train_size: cap on the training set, classes in proportion.
    Returns:
        For each text ``{"value": float, "finite": bool, ...}`` with the probe's own details, as plain numbers; what the
        value means is the probe's ``score``.
    Raises:
        ConfigError: a probe or an option of it does not exist.
        DataError: features and labels do not fit each other, are empty or fewer than a probe needs, or a label is out
            of range.
    """
    check_examples("train", train_features, train_labels, num_classes)
    check_examples("test", test_features, test_labels, num_classes)
    if train_features.shape[1] != test_features.shape[1]:
        raise DataError(
            f"train features have size {train_features.shape[1]} and test features {test_features.shape[1]}, "
            "but they must agree; extract both with one encoder."
        )
    train = jnp.asarray(train_features, jnp.float32), jnp.asarray(train_labels, jnp.int32)
    test = jnp.asarray(test_features, jnp.float32), jnp.asarray(test_labels, jnp.int32)
    if train_size is not None and train_size < train[1].shape[0]:
        chosen = jnp.argsort(stratified_ranks(train[1], stream(key, "train_size")))[:train_size]
        train = train[0][chosen], train[1][chosen]
    is_finite = bool(_is_finite(train[0]) & _is_finite(test[0]))
    results = {}
    for text in probes:
        probe = PROBES.parse(text, "probes")
        if train[1].shape[0] < probe.examples_needed:
            raise DataError(
                f"train has {train[1].shape[0]} examples but {text!r} needs at least {probe.examples_needed}; "
                "give more training examples or take another probe."
            )
        own_key = stream(key, text.partition("(")[0].strip())
        if is_finite:
            value, details = probe.fit_and_score(*train, *test, num_classes, own_key)
        elif probe.without_features is not None:
            value, details = probe.without_features(train[1], test[1], num_classes), {}
        else:
            zeros = jnp.zeros_like(train[0]), train[1], jnp.zeros_like(test[0]), test[1]
            value, details = probe.fit_and_score(*zeros, num_classes, own_key)
        plain = {name: detail.item() if isinstance(detail, jax.Array) else detail for name, detail in details.items()}
        results[text] = {"value": float(value), "finite": is_finite} | plain
    return results


def check_examples(part: str, features: Features, labels: Labels, num_classes: int) -> None:
    """Raises DataError unless there is one label in 0 .. num_classes - 1 for each of at least one example."""
    if features.shape[0] != labels.shape[0] or features.shape[0] == 0:
        raise DataError(
            f"{part} has {features.shape[0]} feature vectors and {labels.shape[0]} labels, but there must be "
            "equally many and at least one; check the split and the subset."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise DataError(
            f"{part} labels span {low} to {high} but must lie in [0, {num_classes - 1}]; "
            "correct num_classes or number the classes from 0."
        )


def _is_finite(features: Float[Array, "examples features"]) -> Array:
    return jnp.all(jnp.isfinite(jnp.sum(jnp.square(features), axis=0)))
