"""The k-nearest-neighbours probe: what do the nearest training examples say?"""

import dataclasses
from functools import partial
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.probing.neighbours import predict_by_neighbours
from repcon_jax.probing.probe import PROBES, Details, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.standardisation import Normalisation, normalise_features, one_normalisation
from repcon_jax.probing.stratification import stratified_ranks
from repcon_jax.random import stream
from repcon_jax.records.scores import ACCURACY
from repcon_jax.typing import Key

# Each costs as much as a test example, and their accuracy need not be known better than to a percent.
_TRAIN_EXAMPLES_SCORED = 1000


@PROBES.register("knn")
def knn(
    *,
    neighbours: int | tuple[int, ...] = 20,
    metric: Literal["euclidean", "cosine"] = "euclidean",
    temperature: float | None = None,
    normalisation: Normalisation = "none",
    standardise: bool = False,
    held_out: float = 0.2,
    chunk_size: int = 256,
) -> Probe:
    """The vote of the nearest training examples: a majority, or weighted by exp(cosine / temperature).

    The accuracy on the training set, each example among its own neighbours, is that of at most 1000 of its examples.

    Args:
        neighbours: k; 20 in the paper. Of several, the one that reads a held-out part of the training set best, from
            the rest of it; of equally good ones the first.
        metric: what is near; with ``cosine`` an example that is all zeros is as far from every other.
        temperature: of the votes' weights, which need the cosine; None lets every vote count the same. DINO takes 0.07.
        normalisation: of the features; the paper's headline numbers have none.
        standardise: True is another way to write ``normalisation="standardise"``.
        held_out: fraction of every class of the training set on which one of several k is chosen.
        chunk_size: test examples whose distances are held at once; memory is chunk_size * training examples * 4 bytes.
    Raises:
        ArgumentError: k or the temperature is not positive, the metric has no weights, or the options contradict each
            other; by the probe, where there are fewer than k training examples.

    Source: arXiv 2302.12091, tables 3 and 4; the weights are those of arXiv 1805.01978, section 3.4.
    """
    counts = (neighbours,) if isinstance(neighbours, int) else tuple(neighbours)
    if not counts or min(counts) < 1:
        raise ArgumentError("neighbours", f"is {neighbours!r} but must be at least 1", "give at least one such number")
    if temperature is not None:
        check_range("temperature", temperature, 0, open_low=True)
        if metric != "cosine":
            raise ArgumentError("temperature", f"is {temperature} but weights need cosines", "set metric='cosine'")
    check_range("held_out", held_out, 0.0, 1.0, open_low=True, open_high=True)
    check_range("chunk_size", chunk_size, 1)
    normalisation = one_normalisation(normalisation, standardise)

    def fit_and_score(
        train_features: Float[Array, "train features"],
        train_labels: Int[Array, " train"],
        test_features: Float[Array, "test features"],
        test_labels: Int[Array, " test"],
        num_classes: int,
        key: Key,
    ) -> tuple[Float[Array, ""], Details]:
        _check_enough(neighbours, counts, train_labels.shape[0], held_out)
        train, test = normalise_features(train_features, test_features, normalisation)
        if metric == "cosine":
            train, test = normalise_features(train, test, "l2")
        options = {"counts": counts, "num_classes": num_classes, "chunk_size": chunk_size, "temperature": temperature}
        right = partial(_shares_right, **options)
        best, chosen, held_out_accuracy = 0, counts[0], None
        if len(counts) > 1:
            order = jnp.argsort(stratified_ranks(train_labels, stream(key, "held_out")))
            held, rest = jnp.split(order, [_held_out_size(order.shape[0], held_out)])
            reached = right(train[rest], train_labels[rest], train[held], train_labels[held])
            best = jnp.argmax(reached)
            chosen, held_out_accuracy = jnp.asarray(counts)[best], reached[best]
        number = train_labels.shape[0]
        some = jnp.linspace(0, number - 1, min(number, _TRAIN_EXAMPLES_SCORED)).astype(jnp.int32)
        details = {
            "neighbours": chosen,
            "held_out_accuracy": held_out_accuracy,
            "train_accuracy": right(train, train_labels, train[some], train_labels[some])[best],
            "normalisation": normalisation,
            "metric": metric,
            "converged": True,
        }
        return right(train, train_labels, test, test_labels)[best], details

    which = f"{neighbours}" if len(counts) == 1 else f"{', '.join(map(str, counts))} (the best on held-out examples)"
    score = dataclasses.replace(ACCURACY, about=f"the vote of the {which} nearest neighbours")
    needed = max(counts)
    while len(counts) > 1 and needed - _held_out_size(needed, held_out) < max(counts):
        needed += 1
    return Probe(fit_and_score, score, examples_needed=needed, without_features=accuracy_of_most_frequent_class)


def _held_out_size(examples: int, share: float) -> int:
    return max(1, int(share * examples))


def _check_enough(neighbours: int | tuple[int, ...], counts: tuple[int, ...], examples: int, held_out: float) -> None:
    """Raises ArgumentError where there are fewer training examples than neighbours."""
    voters, which = examples, "the size of the training set"
    if len(counts) > 1:
        voters -= _held_out_size(examples, held_out)
        which += f" of {examples} without the held-out part"
    if max(counts) > voters:
        raise ArgumentError(
            "neighbours",
            f"is {neighbours} but must lie in [1, {voters}], {which}",
            "take fewer neighbours or more training examples",
        )


def _shares_right(
    train_features: Float[Array, "train features"],
    train_labels: Int[Array, " train"],
    test_features: Float[Array, "test features"],
    test_labels: Int[Array, " test"],
    **options: object,
) -> Float[Array, " counts"]:
    """The accuracy for every number of neighbours."""
    predictions = predict_by_neighbours(train_features, train_labels, test_features, **options)
    return jnp.mean((predictions == test_labels).astype(jnp.float32), axis=1)
