"""Similarities of representations against NumPy and SciPy, and what each must and must not depend on."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.probing import SIMILARITIES
from repcon_jax.probing.similarities.minibatch_cka import minibatch_cka, unbiased_hsic
from repcon_jax.probing.similarities.procrustes import procrustes_distance

# Which maps of one representation a similarity does not see, besides a shift and a factor.
SEES_NO_ROTATION = ("linear_cka", "kernel_cka", "minibatch_cka", "cca", "svcca", "procrustes")
SEES_NO_LINEAR_MAP = ("cca",)
SEES_SHIFTS = ("mutual_knn", "rsa")
OPTIONS = {"minibatch_cka": {"batch_size": 16}, "mutual_knn": {"neighbours": 5}}
NAMES = SIMILARITIES.names()


def features(seed, examples=40, size=7):
    return np.random.default_rng(seed).normal(size=(examples, size)) ** 3


def related():
    return features(0), features(1, size=5) + features(0)[:, :5]


def value(name, first, second, **options):
    similarity = SIMILARITIES.build(name, **{**OPTIONS.get(name, {}), **options})
    return float(similarity(jnp.asarray(first, jnp.float32), jnp.asarray(second, jnp.float32), jax.random.key(0)))


def centred(x):
    return x - x.mean(0)


def gaussian_kernel(x, bandwidth):
    distances = np.linalg.norm(x[:, None] - x, axis=-1)
    median = np.median(distances[np.triu_indices(len(x), 1)])
    return np.exp(-(distances**2) / (2 * (bandwidth * median) ** 2))


def cka_of_kernels(k, m):
    centring = np.eye(len(k)) - 1 / len(k)
    k, m = (centring @ matrix @ centring for matrix in (k, m))
    return np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))


# References


def test_linear_cka_is_the_alignment_of_centred_gram_matrices():
    x, y = related()
    assert value("linear_cka", x, y) == pytest.approx(cka_of_kernels(x @ x.T, y @ y.T), rel=1e-5)


@pytest.mark.parametrize("bandwidth", [0.2, 0.8, 3.0])
def test_kernel_cka_is_the_alignment_of_centred_gaussian_kernels(bandwidth):
    x, y = related()
    expected = cka_of_kernels(gaussian_kernel(x, bandwidth), gaussian_kernel(y, bandwidth))
    assert value("kernel_cka", x, y, bandwidth=bandwidth) == pytest.approx(expected, rel=1e-4)


def test_kernel_cka_with_a_wide_kernel_is_linear_cka():
    x, y = (np.tanh(z) for z in related())
    assert value("kernel_cka", x, y, bandwidth=20.0) == pytest.approx(value("linear_cka", x, y), rel=1e-2)


def test_the_unbiased_hsic_is_the_u_statistic_of_four_different_examples():
    x, y = features(0, 7, 3), features(1, 7, 2)
    k, m = x @ x.T, y @ y.T
    terms = [k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in itertools.permutations(range(7), 4)]
    assert float(unbiased_hsic(*map(jnp.float32, (k, m)))) == pytest.approx(np.mean(terms), rel=1e-4)


def test_its_mean_over_all_minibatches_is_that_of_all_examples():
    x, y = features(0, 8, 3), features(1, 8, 2)
    k, m = (jnp.asarray(z @ z.T, jnp.float32) for z in (x, y))
    batches = jnp.array(list(itertools.combinations(range(8), 5)))
    estimates = jax.vmap(lambda rows: unbiased_hsic(k[rows][:, rows], m[rows][:, rows]))(batches)
    assert float(estimates.mean()) == pytest.approx(float(unbiased_hsic(k, m)), rel=1e-4)


def test_minibatch_cka_of_a_single_batch_is_that_of_the_unbiased_estimates():
    x, y = (centred(z) for z in related())
    k, m = (jnp.asarray(z @ z.T, jnp.float32) for z in (x, y))
    expected = unbiased_hsic(k, m) / jnp.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m))
    assert value("minibatch_cka", x, y, batch_size=40) == pytest.approx(float(expected), rel=1e-4)
    assert value("minibatch_cka", x, y, batch_size=999) == pytest.approx(float(expected), rel=1e-4)
    assert value("minibatch_cka", x, y, batch_size=20) == pytest.approx(float(expected), rel=0.2)


def test_unrelated_features_have_no_minibatch_cka_but_a_linear_one():
    draws = jax.random.normal(jax.random.key(0), (200, 2, 24, 40))
    unbiased = jax.vmap(lambda x: minibatch_cka(*x, jax.random.key(1), batch_size=12))(draws)
    mean, error = float(unbiased.mean()), float(unbiased.std()) / np.sqrt(200)
    assert abs(mean) < 4 * error < 0.05
    assert value("linear_cka", *draws[0]) > 0.5


def test_cca_is_the_mean_of_singular_values_of_the_product_of_orthonormal_bases():
    x, y = related()
    bases = [np.linalg.qr(centred(z))[0] for z in (x, y)]
    correlations = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    assert value("cca", x, y) == pytest.approx(correlations.mean(), rel=1e-4)


def test_cca_of_repeated_and_dead_features_is_that_without_them():
    x, y = related()
    padded = np.concatenate([x, x[:, :2] + x[:, 2:4], np.ones((40, 3))], axis=1)
    assert value("cca", padded, y) == pytest.approx(value("cca", x, y), rel=1e-3)


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.99, 1.0])
def test_svcca_is_cca_of_the_principal_directions(variance):
    x, y = related()
    reduced = []
    for z in (x, y):
        u, s, _ = np.linalg.svd(centred(z), full_matrices=False)
        count = np.searchsorted(np.cumsum(s**2) / np.sum(s**2), variance - 1e-12) + 1
        reduced.append(u[:, :count])
    correlations = np.linalg.svd(reduced[0].T @ reduced[1], compute_uv=False)
    assert value("svcca", x, y, variance=variance) == pytest.approx(correlations.mean(), rel=1e-4)


@pytest.mark.parametrize("sizes", [(7, 5), (7, 60), (50, 60)])
def test_procrustes_is_what_scipy_s_rotation_leaves(sizes):
    given = features(0, size=sizes[0]), features(1, size=sizes[1])
    given[1][:, :5] += given[0][:, :5]
    padded = (np.pad(centred(z), ((0, 0), (0, max(sizes) - z.shape[1]))) for z in given)
    x, y = (z / np.linalg.norm(z) for z in padded)
    rotation, scale = scipy.linalg.orthogonal_procrustes(x, y)
    distance = float(procrustes_distance(*map(jnp.float32, given)))
    assert distance == pytest.approx(np.linalg.norm(x @ rotation - y) ** 2, rel=1e-4)
    assert value("procrustes", *given) == pytest.approx(scale, rel=1e-4)


@pytest.mark.parametrize("chunk_size", [7, 256])
def test_mutual_neighbours_are_those_of_a_loop(chunk_size):
    x, y = related()
    shares = []
    for i in range(40):
        sets = []
        for z in (x, y):
            cosines = z @ z[i] / np.linalg.norm(z, axis=1)
            cosines[i] = -np.inf
            sets.append(set(np.argsort(-cosines)[:5]))
        shares.append(len(sets[0] & sets[1]) / 5)
    assert value("mutual_knn", x, y, chunk_size=chunk_size) == pytest.approx(np.mean(shares), rel=1e-5)


def test_unrelated_features_share_neighbours_by_chance():
    x, y = features(0, 400, 20), features(1, 400, 20)
    assert value("mutual_knn", x, y, neighbours=40) == pytest.approx(40 / 399, abs=0.03)


@pytest.mark.parametrize(("correlation", "reference"), [("spearman", "spearmanr"), ("pearson", "pearsonr")])
def test_rsa_is_scipy_s_correlation_of_dissimilarities(correlation, reference):
    x, y = related()
    pairs = np.triu_indices(40, 1)
    dissimilarities = [(1 - np.corrcoef(z))[pairs] for z in (x, y)]
    expected = getattr(scipy.stats, reference)(*dissimilarities).statistic
    assert value("rsa", x, y, correlation=correlation) == pytest.approx(expected, rel=1e-3)


# Invariances


@pytest.mark.parametrize("name", NAMES)
def test_a_representation_is_like_itself_and_the_order_of_two_does_not_matter(name):
    x, y = related()
    assert value(name, x, x) == pytest.approx(1.0, rel=1e-4)
    assert value(name, x, y) == pytest.approx(value(name, y, x), rel=1e-4)
    assert 0 < value(name, x, y) < 0.999


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_examples_does_not_matter_where_it_is_the_same(name):
    x, y = related()
    order = np.random.default_rng(5).permutation(40)
    options = {"batch_size": 40} if name == "minibatch_cka" else {}
    assert value(name, x[order], y[order], **options) == pytest.approx(value(name, x, y, **options), rel=1e-4)
    assert value(name, x[order], y, **options) < value(name, x, y, **options)


@pytest.mark.parametrize("name", NAMES)
def test_factors_and_shifts_do_not_matter(name):
    x, y = related()
    moved = 3 * x + (0 if name in SEES_SHIFTS else features(3, examples=1))
    assert value(name, moved, y) == pytest.approx(value(name, x, y), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-6, 1e5])
def test_features_may_be_very_small_or_large(name, scale):
    x, y = related()
    assert value(name, scale * x, scale * y) == pytest.approx(value(name, x, y), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_rotations_and_other_linear_maps_matter_as_declared(name):
    x, y = related()
    rotation, _ = np.linalg.qr(features(2, examples=7))
    stretch = np.array([100, 1, 1, 1, 1, 1, 1])
    if name in (*SEES_NO_ROTATION, "mutual_knn"):
        assert value(name, x @ rotation, y) == pytest.approx(value(name, x, y), rel=1e-3)
    if name in SEES_NO_LINEAR_MAP:
        assert value(name, x, x * stretch @ rotation) == pytest.approx(1.0, rel=1e-3)
    else:
        assert abs(value(name, x * stretch @ rotation, y) - value(name, x, y)) > 0.02


# Limits


@pytest.mark.parametrize("name", sorted({*NAMES} - {"mutual_knn"}))
def test_a_constant_representation_has_no_similarity(name):
    x, _ = related()
    assert np.isnan(value(name, x, np.ones_like(x)))
    constant = np.broadcast_to(features(3, examples=1), x.shape)
    assert np.isnan(value(name, constant + (0 if name != "rsa" else -constant), x))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_or_too_little_is_told_before_anything_is_computed(name):
    x, y = related()
    few = SIMILARITIES.build(name, **OPTIONS.get(name, {})).examples_needed - 1
    with pytest.raises(ArgumentError, match=r"second features hold NaN or infinity for 1 of 40 examples but must be "):
        value(name, x, np.where(np.arange(40)[:, None] == 3, np.inf, y))
    with pytest.raises(ArgumentError, match=rf"first features are of {few} examples but must be of at least"):
        value(name, x[:few], y[:few])
    with pytest.raises(ArgumentError, match=r"second features are of 39 examples but must be of 40"):
        value(name, x, y[1:])


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("kernel_cka", {"bandwidth": 0.0}, r"similarity.bandwidth is 0.0 but must lie in \(0, inf\]"),
        ("minibatch_cka", {"batch_size": 3}, r"similarity.batch_size is 3 but must lie in \[4, inf\]"),
        ("minibatch_cka", {"epochs": 0}, r"similarity.epochs is 0 but must lie in \[1, inf\]"),
        ("cca", {"tolerance": 1.0}, r"similarity.tolerance is 1.0 but must lie in \[0, 1\)"),
        ("svcca", {"variance": 1.5}, r"similarity.variance is 1.5 but must lie in \(0, 1\]"),
        ("mutual_knn", {"neighbours": 0}, r"similarity.neighbours is 0 but must lie in \[1, inf\]"),
        ("rsa", {"correlation": "kendall"}, r"similarity.correlation is 'kendall' \(str\) but must be one of"),
    ],
)
def test_options_out_of_range_are_told(name, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        SIMILARITIES.build(name, **options)
