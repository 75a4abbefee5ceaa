import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repcon_jax.data import Dataset, holdout, label_noise, select_classes, stratified_subset, unlabelled
from repcon_jax.errors import ArgumentError, DataError


@st.composite
def all_labels(draw):
    """Labels of up to five classes of random sizes in random order."""
    counts = draw(st.lists(st.integers(1, 12), min_size=2, max_size=5))
    return draw(st.permutations([label for label, count in enumerate(counts) for _ in range(count)]))


def numbered(labels):
    """A data set whose every image holds its own index."""
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Dataset(images, np.array(labels, np.int32), tuple("abcde"[: max(labels) + 1]), "some", "train")


def identity(dataset):
    return dataset.images[:, 0, 0, 0].tolist()


@given(all_labels(), st.data())
def test_subset_has_exactly_n_examples_and_proportional_classes(labels, data):
    dataset = numbered(labels)
    n = data.draw(st.integers(1, len(dataset)))
    subset = stratified_subset(dataset, n, seed=3)
    assert len(subset) == n
    assert identity(subset) == sorted(set(identity(subset)))
    share = np.bincount(dataset.labels) * n / len(dataset)
    assert np.abs(np.bincount(subset.labels, minlength=dataset.num_classes) - share).max() < 1
    assert np.array_equal(subset.labels, dataset.labels[identity(subset)])


def test_subset_is_a_function_of_the_seed(tiny):
    first, again, other = (stratified_subset(tiny, 12, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


def test_subset_of_everything_and_of_unlabelled_data(tiny):
    assert np.array_equal(stratified_subset(tiny, 30, 0).images, tiny.images)
    subset = stratified_subset(unlabelled(tiny), 7, 0)
    assert (len(subset), subset.labels) == (7, None)


@pytest.mark.parametrize("n", [0, 31, -1])
def test_subset_out_of_range(tiny, n):
    with pytest.raises(DataError, match="choose between 1 and 30"):
        stratified_subset(tiny, n, 0)


@given(all_labels(), st.floats(0.1, 0.9), st.integers(0, 3))
def test_holdout_divides(labels, fraction, seed):
    dataset = numbered(labels)
    if not 0 < round(fraction * len(dataset)) < len(dataset):
        return
    rest, held_out = holdout(dataset, fraction, seed)
    assert sorted(identity(rest) + identity(held_out)) == identity(dataset)
    assert len(held_out) == round(fraction * len(dataset))
    share = np.bincount(dataset.labels) * len(held_out) / len(dataset)
    assert np.abs(np.bincount(held_out.labels, minlength=dataset.num_classes) - share).max() < 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, 0.001, -1.0])
def test_holdout_leaves_no_part_empty(tiny, fraction):
    with pytest.raises(DataError, match="empty part"):
        holdout(tiny, fraction, 0)


def test_subset_and_holdout_of_one_seed_are_independent(tiny):
    pixels = unlabelled(tiny)
    subset, (_, held_out) = stratified_subset(pixels, 15, 0), holdout(pixels, 0.5, 0)
    assert not np.array_equal(subset.images, held_out.images)


def test_select_classes_relabels_in_the_given_order(tiny):
    chosen = select_classes(tiny, (2, 0))
    assert chosen.class_names == ("c", "a")
    assert np.bincount(chosen.labels).tolist() == [5, 15]
    assert np.array_equal(chosen.images[chosen.labels == 0], tiny.images[tiny.labels == 2])


def test_select_classes_errors(tiny):
    with pytest.raises(DataError, match="class 3 does not exist"):
        select_classes(tiny, (0, 3))
    with pytest.raises(DataError, match="chosen twice"):
        select_classes(tiny, (0, 0))
    with pytest.raises(DataError, match="has no examples"):
        select_classes(dataclasses.replace(tiny, labels=np.zeros(30, np.int32)), (1,))
    with pytest.raises(DataError, match="has no labels"):
        select_classes(unlabelled(tiny), (0,))


@given(all_labels(), st.floats(0, 1), st.integers(0, 3))
def test_label_noise_is_exact(labels, fraction, seed):
    dataset = numbered(labels)
    before = dataset.labels.copy()
    noisy = label_noise(dataset, fraction, seed)
    assert (noisy.labels != before).sum() == round(fraction * len(dataset))
    assert noisy.labels.min() >= 0
    assert noisy.labels.max() < dataset.num_classes
    assert np.array_equal(dataset.labels, before), "the input was written into"


def test_label_noise_is_uniform_over_the_other_classes():
    labels = np.zeros(30_000, np.int32)
    dataset = Dataset(np.zeros((30_000, 1, 1, 1), np.uint8), labels, tuple("abcd"), "some", "train")
    counts = np.bincount(label_noise(dataset, 1.0, 0).labels, minlength=4)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 10_000).max() < 500


def test_label_noise_errors(tiny):
    with pytest.raises(ArgumentError, match=r"fraction is .* must lie in \[0, 1\]"):
        label_noise(tiny, 1.5, 0)
    with pytest.raises(DataError, match="has no labels"):
        label_noise(unlabelled(tiny), 0.5, 0)
    with pytest.raises(DataError, match="two classes"):
        label_noise(select_classes(tiny, (1,)), 0.5, 0)
