"""The H-score against NumPy and linear discriminant analysis, and what it must not depend on."""

import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ConfigError
from repcon_jax.transfer import TRANSFER_SCORES

CLASSES = 4


def examples(seed=0, count=200, size=6, apart=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    return rng.normal(size=(count, size)) + apart * rng.normal(size=(CLASSES, size))[labels], labels


def h_score(features, labels, num_classes=CLASSES, **options):
    score = TRANSFER_SCORES.build("h_score", **options)
    return float(score.value(jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.int32), num_classes))


def test_it_is_the_trace_of_the_definition():
    x, labels = examples()
    means = np.stack([x[labels == label].mean(0) for label in range(CLASSES)])[labels]
    expected = np.trace(np.linalg.pinv(np.cov(x.T, bias=True)) @ np.cov(means.T, bias=True))
    assert h_score(x, labels) == pytest.approx(expected, rel=1e-4)


def test_it_is_the_variance_that_regression_on_the_labels_explains_of_whitened_features():
    # trace(cov^-1 between) = sum over whitened features of R^2, here by least squares on one-hot labels.
    x, labels = examples(1)
    centred = x - x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    white = centred @ vectors / np.sqrt(values)
    one_hot = np.eye(CLASSES)[labels]
    fitted = one_hot @ np.linalg.lstsq(one_hot, white, rcond=None)[0]
    assert h_score(x, labels) == pytest.approx(np.sum(fitted**2) / len(x), rel=1e-4)


def test_perfectly_separated_classes_have_their_number_less_one():
    _, labels = examples()
    corners = np.random.default_rng(2).normal(size=(CLASSES, 6))
    assert h_score(corners[labels], labels) == pytest.approx(CLASSES - 1, rel=1e-3)
    x, _ = examples(3, count=len(labels))
    assert h_score(1e3 * corners[labels] + x, labels) == pytest.approx(CLASSES - 1, rel=1e-2)


def test_no_more_examples_than_features_always_look_separated():
    x, labels = examples(10, count=20, size=30, apart=0.0)
    assert h_score(x, labels) == pytest.approx(CLASSES - 1, rel=1e-3)


def test_invertible_linear_maps_and_shifts_do_not_matter():
    x, labels = examples(4)
    matrix = np.random.default_rng(5).normal(size=(6, 6)) + 3 * np.eye(6)
    assert h_score(x @ matrix + 7, labels) == pytest.approx(h_score(x, labels), rel=1e-3)


def test_it_grows_with_the_distance_of_the_classes_and_lies_between_its_ends():
    scores = [h_score(*examples(6, apart=apart)) for apart in (0.0, 0.5, 1.0, 2.0)]
    assert scores == sorted(scores)
    assert 0 <= scores[0] < 0.3
    assert scores[-1] < CLASSES - 1


def test_repeated_features_and_absent_classes_change_nothing():
    x, labels = examples(7)
    expected = h_score(x, labels)
    assert h_score(np.concatenate([x, x[:, :2]], axis=1), labels) == pytest.approx(expected, rel=1e-3)
    assert h_score(x, labels, num_classes=CLASSES + 3) == pytest.approx(expected, rel=1e-5)


def test_features_that_are_constant_or_not_finite_are_no_error():
    x, labels = examples(8)
    assert h_score(np.ones_like(x), labels) == 0.0
    assert np.isnan(h_score(np.where(x > 2, np.nan, x), labels))


def test_a_larger_tolerance_drops_directions_of_little_variance():
    x, labels = examples(9)
    x[:, 0] *= 1e-2  # it tells the classes apart as well as the others, but hardly varies
    assert h_score(x, labels, tolerance=1e-2) == pytest.approx(h_score(x[:, 1:], labels), rel=1e-3)
    assert h_score(x, labels) > h_score(x, labels, tolerance=1e-2)
    with pytest.raises(ConfigError, match=r"transfer_score.tolerance is -1.0 but must lie in \[0, inf\]"):
        TRANSFER_SCORES.build("h_score", tolerance=-1.0)


def test_what_it_means_is_declared():
    score = TRANSFER_SCORES.build("h_score")
    assert score.score.higher_is_better
    assert not score.needs_logits
