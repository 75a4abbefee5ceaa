"""Scores of the geometry of a representation against NumPy and known configurations of points."""

import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.probing import GEOMETRY_SCORES
from repcon_jax.probing.classes import by_class

NAMES = GEOMETRY_SCORES.names()
LABELLED = [name for name in NAMES if GEOMETRY_SCORES.build(name).needs_labels]
OF_CLASSES = ("variability_collapse", "equinorm_deviation", "equiangular_deviation")
CLASSES = 4


def examples(seed=0, count=60, size=6, apart=1.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    return rng.normal(size=(count, size)) + apart * rng.normal(size=(CLASSES, size))[labels] + 0.5, labels


def value(name, features, labels=None, num_classes=CLASSES, **options):
    score = GEOMETRY_SCORES.build(name, **options)
    labels = None if labels is None else jnp.asarray(labels, jnp.int32)
    return float(score(jnp.asarray(features, jnp.float32), labels, num_classes))


def isotropic(size):
    return np.concatenate([np.eye(size), -np.eye(size)])


def simplex(classes=CLASSES, size=6):
    """The corners of a regular simplex around a point, [classes, size]."""
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(size, size)))
    return (np.eye(classes) - 1 / classes) @ rotation[:classes] * 5 + 2


# Dimensions


@pytest.mark.parametrize("name", ["effective_rank", "participation_ratio"])
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_equally_large_directions_count_one_each(name, size):
    assert value(name, isotropic(size)) == pytest.approx(size, rel=1e-5)
    line = np.outer(np.arange(20.0), np.ones(size))
    assert value(name, line) == pytest.approx(1, rel=1e-3)


def test_the_effective_rank_is_the_exponential_of_the_entropy_of_singular_values():
    x, _ = examples()
    for centred in (True, False):
        s = np.linalg.svd(x - centred * x.mean(0), compute_uv=False)
        p = s / s.sum()
        assert value("effective_rank", x, centred=centred) == pytest.approx(np.exp(-np.sum(p * np.log(p))), rel=1e-4)


@pytest.mark.parametrize(("count", "size"), [(60, 6), (8, 30)])
def test_the_participation_ratio_is_that_of_the_eigenvalues_of_the_covariance(count, size):
    x, _ = examples(count=count, size=size)
    l = np.linalg.eigvalsh(np.cov(x.T))  # noqa: E741
    assert value("participation_ratio", x) == pytest.approx(l.sum() ** 2 / np.sum(l**2), rel=1e-4)


@pytest.mark.parametrize("name", ["effective_rank", "participation_ratio"])
def test_dimensions_depend_on_neither_rotation_nor_scale_nor_origin(name):
    x, _ = examples()
    rotation, _ = np.linalg.qr(examples(1, count=6)[0])
    assert value(name, 7 * x @ rotation + 3) == pytest.approx(value(name, x), rel=1e-4)
    assert np.isnan(value(name, np.full((9, 3), 0.3)))


# Classes


def test_variances_within_and_between_classes_add_up_to_all_variance():
    x, labels = examples()
    labels = np.minimum(labels, 2)  # one class is twice as large
    within, between = (value(f"{which}_class_variance", x, labels) for which in ("intra", "inter"))
    assert within + between == pytest.approx(np.var(x, axis=0).sum(), rel=1e-5)
    by_hand = sum(np.sum((x[labels == c] - x[labels == c].mean(0)) ** 2) for c in range(3)) / len(x)
    assert within == pytest.approx(by_hand, rel=1e-5)


def test_class_means_do_not_lose_digits_far_from_the_origin():
    x, labels = examples()
    classes = by_class(jnp.asarray(x + 1000, jnp.float32), jnp.asarray(labels), CLASSES)
    expected = [x[labels == c].mean(0) - x.mean(0) for c in range(CLASSES)]
    np.testing.assert_allclose(classes.means, expected, atol=1e-3)
    assert classes.counts.tolist() == [15] * 4


@pytest.mark.parametrize("size", [6, 2])
def test_variability_collapse_is_the_trace_of_the_definition(size):
    x, labels = examples(size=size)
    means = np.stack([x[labels == c].mean(0) for c in range(CLASSES)])
    within = np.mean([np.cov(x[labels == c].T, bias=True) for c in range(CLASSES)], axis=0)
    between = np.cov(means.T, bias=True)
    expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / CLASSES
    assert value("variability_collapse", x, labels) == pytest.approx(expected, rel=1e-3)


def test_collapsed_classes_on_a_simplex_have_no_neural_collapse_left_to_do():
    labels = np.arange(20) % CLASSES
    x = simplex()[labels]
    for name in (*OF_CLASSES, "intra_class_variance"):
        assert value(name, x, labels) == pytest.approx(0, abs=1e-5)
    noisy = x + np.random.default_rng(0).normal(size=x.shape)
    for name in (*OF_CLASSES, "intra_class_variance"):
        assert value(name, noisy, labels) > 0.02


def test_lengths_and_angles_of_class_means_are_those_of_the_definitions():
    x, labels = examples()
    means = np.stack([x[labels == c].mean(0) for c in range(CLASSES)])
    means -= means.mean(0)
    lengths = np.linalg.norm(means, axis=1)
    assert value("equinorm_deviation", x, labels) == pytest.approx(lengths.std() / lengths.mean(), rel=1e-4)
    cosines = (means @ means.T / np.outer(lengths, lengths))[~np.eye(CLASSES, dtype=bool)]
    expected = np.mean(np.abs(cosines + 1 / (CLASSES - 1)))
    assert value("equiangular_deviation", x, labels) == pytest.approx(expected, rel=1e-4)


def test_longer_and_closer_class_means_are_seen_by_one_of_the_two():
    labels = np.arange(20) % CLASSES
    corners = simplex() - 2
    lengths = corners * np.array([1, 1, 1, 3])[:, None]
    lengths -= lengths.mean(0)
    assert value("equinorm_deviation", lengths[labels], labels) > 0.1
    square = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    assert value("equinorm_deviation", square[labels], labels) == pytest.approx(0, abs=1e-6)
    # two pairs are opposite (cosine -1) and four at right angles, where all should have -1/3
    assert value("equiangular_deviation", square[labels], labels) == pytest.approx((2 * 2 / 3 + 4 / 3) / 6, rel=1e-5)


@pytest.mark.parametrize("name", LABELLED)
def test_classes_without_examples_change_nothing(name):
    x, labels = examples()
    assert value(name, x, labels, CLASSES + 3) == pytest.approx(value(name, x, labels), rel=1e-4)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_a_single_class_has_no_neural_collapse(name):
    x, _ = examples()
    assert np.isnan(value(name, x, np.zeros(len(x))))
    assert np.isnan(value(name, x, np.zeros(len(x)), 1))


# The sphere


def of_length_one(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_alignment_is_the_mean_over_all_pairs_of_a_class():
    x, labels = examples()
    labels = np.minimum(labels, 2)
    units = of_length_one(x)
    pairs = [(i, j) for i in range(60) for j in range(60) if i != j and labels[i] == labels[j]]
    expected = np.mean([np.sum((units[i] - units[j]) ** 2) for i, j in pairs])
    assert value("alignment", x, labels) == pytest.approx(expected, rel=1e-4)


def test_identical_examples_of_a_class_are_aligned():
    x, labels = examples()
    assert value("alignment", x[labels], labels) == pytest.approx(0, abs=1e-10)
    assert value("alignment", x[labels] * np.linspace(1, 9, 60)[:, None], labels) == pytest.approx(0, abs=1e-6)
    assert value("alignment", x, labels) > 0.1
    assert np.isnan(value("alignment", x[:4], labels[:4]))


@pytest.mark.parametrize("options", [{}, {"sharpness": 0.5, "chunk_size": 7}])
def test_uniformity_is_that_of_a_double_loop(options):
    x, _ = examples()
    units = of_length_one(x)
    pairs = [np.sum((units[i] - units[j]) ** 2) for i in range(60) for j in range(i)]
    expected = np.log(np.mean(np.exp(-options.get("sharpness", 2.0) * np.array(pairs))))
    assert value("uniformity", x, **options) == pytest.approx(expected, rel=1e-4)


def test_spread_points_are_more_uniform_than_crowded_ones_and_equal_ones_are_not_at_all():
    x = np.random.default_rng(0).normal(size=(300, 3))
    assert value("uniformity", x) < value("uniformity", x + 2) < 0
    assert value("uniformity", np.full((20, 3), 0.7)) == pytest.approx(0, abs=1e-5)


# Units


def test_units_that_never_change_are_dead():
    x, _ = examples()
    for count in range(4):
        dead = np.where(np.arange(6) < count, 0.37, x)
        assert value("dead_units", dead) == pytest.approx(count / 6)
    # one example suffices to live
    x[:, :5] = 0
    x[17, 2] = 1e-6
    assert value("dead_units", x) == pytest.approx(4 / 6)
    x[:, 5] = 1 + 1e-3 * x[:, 5]
    assert value("dead_units", x, tolerance=0.1) == pytest.approx(5 / 6)


def test_the_feature_norm_is_the_mean_length():
    x, _ = examples()
    assert value("feature_norm", x) == pytest.approx(np.linalg.norm(x, axis=1).mean(), rel=1e-5)


# All of them


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_examples_does_not_matter(name):
    x, labels = examples()
    order = np.random.default_rng(5).permutation(len(x))
    assert value(name, x[order], labels[order]) == pytest.approx(value(name, x, labels), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_or_too_little_is_told_before_anything_is_computed(name):
    x, labels = examples()
    with pytest.raises(ArgumentError, match=r"features hold NaN or infinity for 2 of 60 examples but must be finite"):
        value(name, np.where(np.arange(60)[:, None] < 2, np.nan, x), labels)
    with pytest.raises(ArgumentError, match=r"features are of 1 examples but must be of at least 2"):
        value(name, x[:1], labels[:1])


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("variability_collapse", {"tolerance": -0.5}, r"geometry_score.tolerance is -0.5 but must lie in \[0, 1\)"),
        ("uniformity", {"sharpness": 0.0}, r"geometry_score.sharpness is 0.0 but must lie in \(0, inf\]"),
        ("dead_units", {"tolerance": -1.0}, r"geometry_score.tolerance is -1.0 but must lie in \[0, inf\]"),
    ],
)
def test_options_out_of_range_are_told(name, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        GEOMETRY_SCORES.build(name, **options)
