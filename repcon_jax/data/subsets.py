"""Choosing examples and changing labels: pure functions of (data set, what to choose, seed)."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, Int64

from repcon_jax.data.dataset import Dataset, require_labels
from repcon_jax.errors import DataError, check_range
from repcon_jax.random import stable_hash


def stratified_subset(dataset: Dataset, n: int, seed: int) -> Dataset:
    """``n`` random examples in which every class has its share of the whole, to within one example.

    Class k, with N_k of the N examples, gets the floor of n N_k / N, and the classes with the largest remainders
    one more until the sum is n. The examples keep their order. Unlabelled data counts as one class.

    Args:
        dataset: where to choose from.
        n: number of examples to keep.
        seed: which examples.
    Raises:
        DataError: ``n`` is not between 1 and the number of examples.
    """
    if not 1 <= n <= len(dataset):
        raise DataError(
            f"a subset of {n} examples was asked of data set {dataset}, which has {len(dataset)}; "
            f"choose between 1 and {len(dataset)}."
        )
    return dataset.take(_stratified_indices(dataset, n, _generator(seed, "subset")))


def holdout(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Divides a data set into (rest, held out), stratified by class as in ``stratified_subset``.

    Args:
        dataset: what to divide.
        fraction: share of the examples to hold out, rounded to whole examples.
        seed: which examples.
    Raises:
        DataError: one of the two parts would be empty.
    """
    n = round(fraction * len(dataset))
    if not 0 < n < len(dataset):
        raise DataError(
            f"holding out the fraction {fraction:g} of the {len(dataset)} examples of data set {dataset} leaves an "
            f"empty part; choose a fraction between 0 and 1 that keeps at least one example on either side."
        )
    held_out = np.zeros(len(dataset), bool)
    held_out[_stratified_indices(dataset, n, _generator(seed, "holdout"))] = True
    return dataset.take(_where(~held_out)), dataset.take(_where(held_out))


def select_classes(dataset: Dataset, classes: Sequence[int]) -> Dataset:
    """The examples of some classes, relabelled 0, 1, ... in the order in which ``classes`` names them.

    Raises:
        DataError: a class does not exist, is named twice or has no examples, or the data has no labels.
    """
    labels = require_labels(dataset, "a choice of classes")
    new_label = np.full(dataset.num_classes, -1, np.int32)
    for position, label in enumerate(classes):
        if not 0 <= label < dataset.num_classes:
            raise DataError(
                f"class {label} does not exist in data set {dataset}; choose from 0 to {dataset.num_classes - 1}."
            )
        if new_label[label] >= 0:
            raise DataError(f"class {label} is chosen twice from data set {dataset}; name every class once.")
        if not (labels == label).any():
            raise DataError(f"class {label} has no examples in data set {dataset}; leave it out.")
        new_label[label] = position
    chosen = dataset.take(_where(new_label[labels] >= 0))
    names = tuple(dataset.class_names[label] for label in classes)
    return dataclasses.replace(chosen, labels=new_label[require_labels(chosen, "")], class_names=names)


def label_noise(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """Replaces the labels of ``round(fraction n)`` random examples by another class, uniformly chosen.

    Every noisy label differs from its true one, so that ``fraction`` is exactly the share of wrong labels.

    Args:
        dataset: labelled data.
        fraction: share of wrong labels, between 0 and 1.
        seed: which examples and which labels.
    Raises:
        ArgumentError: the fraction is out of range.
        DataError: the data has no labels or only one class.
    """
    labels = require_labels(dataset, "label noise")
    check_range("fraction", fraction, 0, 1)
    if dataset.num_classes < 2:
        raise DataError(f"label noise needs two classes but data set {dataset} has one; leave the labels as they are.")
    generator = _generator(seed, "label_noise")
    wrong = generator.permutation(len(labels))[: round(fraction * len(labels))]
    shift = generator.integers(1, dataset.num_classes, len(wrong), dtype=np.int32)
    noisy = labels.copy()
    noisy[wrong] = (noisy[wrong] + shift) % dataset.num_classes
    return dataclasses.replace(dataset, labels=noisy)


def unlabelled(dataset: Dataset) -> Dataset:
    """The same images without labels."""
    return dataclasses.replace(dataset, labels=None, class_names=())


def _generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator of its own for every purpose, so that one seed does not couple two choices."""
    return np.random.default_rng([seed, stable_hash(purpose)])


def _where(mask: np.ndarray) -> Int32[np.ndarray, " m"]:
    return np.flatnonzero(mask).astype(np.int32)


def _stratified_indices(dataset: Dataset, n: int, generator: np.random.Generator) -> Int32[np.ndarray, " n"]:
    labels = np.zeros(len(dataset), np.int32) if dataset.labels is None else dataset.labels
    counts = np.bincount(labels)
    chosen = np.zeros(len(labels), bool)
    for label, quota in enumerate(_quotas(counts, n)):
        members = np.flatnonzero(labels == label)
        chosen[generator.permutation(members)[:quota]] = True
    return _where(chosen)


def _quotas(counts: Int64[np.ndarray, " k"], n: int) -> Int64[np.ndarray, " k"]:
    """Largest remainders, in integers so that no rounding decides."""
    total = counts.sum()
    quotas, remainders = n * counts // total, n * counts % total
    quotas[np.argsort(-remainders, kind="stable")[: n - quotas.sum()]] += 1
    return quotas
