"""The k-nearest-neighbours probe: what do the nearest training examples say?"""

import dataclasses
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.probing.probe import PROBES, Details, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.standardisation import normalise_features
from repcon_jax.probing.standardisation import standardise as standardise_features
from repcon_jax.records.scores import ACCURACY
from repcon_jax.typing import Key


@PROBES.register("knn")
def knn(
    *,
    neighbours: int = 20,
    metric: Literal["euclidean", "cosine"] = "euclidean",
    temperature: float | None = None,
    standardise: bool = False,
    chunk_size: int = 256,
) -> Probe:
    """The vote of the nearest training examples: a majority, or weighted by exp(cosine / temperature).

    Args:
        neighbours: k; 20 in the paper.
        metric: what is near; with ``cosine`` an example that is all zeros is as far from every other.
        temperature: of the votes' weights, which need the cosine; None lets every vote count the same. DINO takes 0.07.
        standardise: whether features are standardised first; the paper's headline numbers are not.
        chunk_size: test examples whose distances are held at once; memory is chunk_size * training examples * 4 bytes.
    Raises:
        ArgumentError: k or the temperature is not positive, or the metric has no weights; by the probe, where there are
            fewer than k training examples.

    Source: arXiv 2302.12091, tables 3 and 4; the weights are those of arXiv 1805.01978, section 3.4.
    """
    check_range("neighbours", neighbours, 1)
    if temperature is not None:
        check_range("temperature", temperature, 0, open_low=True)
        if metric != "cosine":
            raise ArgumentError("temperature", f"is {temperature} but weights need cosines", "set metric='cosine'")
    check_range("chunk_size", chunk_size, 1)

    def fit_and_score(
        train_features: Float[Array, "train features"],
        train_labels: Int[Array, " train"],
        test_features: Float[Array, "test features"],
        test_labels: Int[Array, " test"],
        num_classes: int,
        key: Key,
    ) -> tuple[Float[Array, ""], Details]:
        if neighbours > train_labels.shape[0]:
            raise ArgumentError(
                "neighbours",
                f"is {neighbours} but must lie in [1, {train_labels.shape[0]}], the size of the training set",
                "take fewer neighbours or more training examples",
            )
        if standardise:
            train_features, test_features = standardise_features(train_features, test_features)
        if metric == "cosine":
            train_features, test_features = normalise_features(train_features, test_features, "l2")
        predictions = predict_by_neighbours(
            train_features, train_labels, test_features, neighbours, num_classes, chunk_size, temperature
        )
        return jnp.mean((predictions == test_labels).astype(jnp.float32)), {}

    score = dataclasses.replace(ACCURACY, about=f"the vote of the {neighbours} nearest neighbours")
    return Probe(fit_and_score, score, examples_needed=neighbours, without_features=accuracy_of_most_frequent_class)


@partial(jax.jit, static_argnames=("neighbours", "num_classes", "chunk_size"))
def predict_by_neighbours(
    train_features: Float[Array, "train features"],
    train_labels: Int[Array, " train"],
    test_features: Float[Array, "test features"],
    neighbours: int,
    num_classes: int,
    chunk_size: int = 256,
    temperature: float | Scalar | None = None,
) -> Int[Array, " test"]:
    """The class with most votes among the nearest training examples.

    Of equally distant examples the first ones vote, and of classes with equally many votes the smallest wins.

    Args:
        train_features, train_labels: [train, features] and [train].
        test_features: [test, features].
        neighbours: k, at most the number of training examples.
        num_classes: labels lie in 0 .. num_classes - 1.
        chunk_size: test examples that are treated at once.
        temperature: T of weights exp(cosine / T), for features of length 1; None lets every vote count the same.
    Returns:
        The predicted classes, [test].
    """
    # ||a - b||^2 = ||a||^2 - 2ab + ||b||^2 cancels badly far from the origin. A training example as the new origin,
    # rather than the mean, leaves whole numbers whole, and their distances exact.
    squared_spread = jnp.sum(jnp.square(train_features - jnp.mean(train_features, axis=0)), axis=1)
    origin = train_features[jnp.argmin(squared_spread)]
    train = train_features - origin
    squared_norms = jnp.sum(jnp.square(train), axis=1)

    def predict(test: Float[Array, " features"]) -> Int[Array, ""]:
        # The test example's own norm is the same for all neighbours.
        distances = squared_norms - 2.0 * jnp.dot(train, test - origin, precision=jax.lax.Precision.HIGHEST)
        closeness, nearest = jax.lax.top_k(-distances, neighbours)
        if temperature is None:
            return jnp.argmax(jnp.sum(jax.nn.one_hot(train_labels[nearest], num_classes, dtype=jnp.int32), axis=0))
        # Of length 1, cosine = 1 - distance / 2, and a factor that all weights share changes nothing.
        weights = jnp.exp((closeness - closeness[0]) / (2 * temperature))
        return jnp.argmax(weights @ jax.nn.one_hot(train_labels[nearest], num_classes))

    return jax.lax.map(predict, test_features, batch_size=chunk_size)
