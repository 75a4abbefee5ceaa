"""All probes in one call: results as plain numbers, and clear sentences for what does not fit."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ConfigError, DataError
from repcon_jax.options.schema import to_dataclass
from repcon_jax.probing import PROBES, Probe, ProbeConfig, run_probes
from repcon_jax.records.scores import Score

KEY = jax.random.key(0)


def test_every_registered_probe_reads_separable_classes(blobs):
    options = {"linear": "linear(epochs=30, batch_size=10, learning_rate=1e-2)"}
    results = run_probes(tuple(options.get(name, name) for name in PROBES.names()), *blobs, 3, KEY)
    assert len(results) == len(PROBES.names()) >= 4
    for result in results.values():
        assert result["value"] > 0.9
        assert result["finite"]
        assert json.loads(json.dumps(result)) == result
        assert all(isinstance(value, (bool, int, float, str, type(None))) for value in result.values())


def test_result_is_a_function_of_the_key_and_not_of_the_other_probes(blobs):
    alone = run_probes(("linear",), *blobs, 3, KEY)
    together = run_probes(("knn", "linear"), *blobs, 3, KEY)
    assert alone["linear"] == together["linear"]


def test_host_arrays_of_other_types_are_taken(blobs):
    features, labels = np.asarray(blobs[0], np.float64), np.asarray(blobs[1], np.int64)
    (result,) = run_probes(("knn(neighbours=1)",), features, labels, features, labels, 3, KEY).values()
    assert result["value"] == 1


def test_training_set_is_capped_in_proportion(blobs):
    probe = "knn(neighbours=30)"
    assert run_probes((probe,), *blobs, 3, KEY, train_size=30)[probe]["value"] < 0.6
    assert run_probes((probe,), *blobs, 3, KEY, train_size=1000) == run_probes((probe,), *blobs, 3, KEY)


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf, 1e30])
def test_exploded_features_count_as_a_constant_answer(blobs, value):
    train, train_labels, test, test_labels = blobs
    results = run_probes(("linear", "knn"), train.at[3, 1].set(value), train_labels, test, test_labels, 3, KEY)
    frequent = int(jnp.argmax(jnp.bincount(train_labels)))
    expected = {"value": pytest.approx(float(jnp.mean(test_labels == frequent))), "finite": False}
    assert results == {"linear": expected, "knn": expected}


def test_collapsed_features_give_the_accuracy_of_one_class(blobs):
    _, train_labels, _, test_labels = blobs
    train, test = jnp.full((90, 4), 0.1), jnp.full((45, 4), 0.1)
    shares = jnp.bincount(test_labels, length=3) / 45
    for result in run_probes(ProbeConfig().probes, train, train_labels, test, test_labels, 3, KEY).values():
        assert jnp.min(jnp.abs(shares - result["value"])) < 1e-6


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, y, t, z: (x, y[1:], t, z), "train has 90 feature vectors and 89 labels"),
        (lambda x, y, t, z: (x, y, t[:0], z[:0]), "test has 0 feature vectors"),
        (lambda x, y, t, z: (x, y, t[:, 1:], z), "train features have size 4 and test features 3"),
        (lambda x, y, t, z: (x, y + 1, t, z), r"train labels span 1 to 3 but must lie in \[0, 2\]"),
        (lambda x, y, t, z: (x, y, t, z - 1), "test labels span -1 to 1"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(blobs, change, sentence):
    with pytest.raises(DataError, match=sentence):
        run_probes(("knn",), *change(*blobs), 3, KEY)


def test_config_names_what_is_wrong():
    with pytest.raises(ConfigError, match="did you mean 'knn'"):
        ProbeConfig(probes=("kn",))
    with pytest.raises(ConfigError, match=r"probe\.probes has 'knn\(neighbours=0\)': probe\.neighbours is 0"):
        ProbeConfig(probes=("knn(neighbours=0)",))
    with pytest.raises(ConfigError, match="did you mean 'neighbours'"):
        ProbeConfig(probes=("knn(neighbors=5)",))
    for values, sentence in (
        ({"train_size": 1}, r"probe\.train_size is 1"),
        ({"probes": ("knn", "knn")}, r"probe\.probes is .* but may name a probe only once; drop the repetition"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            to_dataclass(ProbeConfig, values, "probe")


@pytest.fixture
def regression(monkeypatch):
    """A probe with another score, as one file would register it: ridge regression of the labels, R^2."""

    def build(*, penalty: float = 1e-3) -> Probe:
        def fit_and_score(train, train_labels, test, test_labels, num_classes, key):
            del num_classes, key
            mean, target = train.mean(0), train_labels - train_labels.mean()
            gram = (train - mean).T @ (train - mean) + penalty * jnp.eye(train.shape[1])
            weights = jnp.linalg.solve(gram, (train - mean).T @ target)
            residual = test_labels - train_labels.mean() - (test - mean) @ weights
            total = jnp.sum((test_labels - test_labels.mean()) ** 2)
            return 1 - jnp.sum(residual**2) / total, {"penalty": penalty}

        return Probe(fit_and_score, Score("R^2", higher_is_better=True), examples_needed=7)

    PROBES.names()
    monkeypatch.setitem(PROBES._builders, "regression", build)


def test_a_probe_may_have_another_score(regression, blobs):
    config = ProbeConfig(probes=("regression(penalty=0.5)", "knn(neighbours=3)"))
    assert config.examples_needed() == 7
    assert config.scores()["regression(penalty=0.5)"] == Score("R^2", higher_is_better=True)
    assert config.scores()["knn(neighbours=3)"].unit == "fraction"
    result = run_probes(config.probes, *blobs, 3, KEY)["regression(penalty=0.5)"]
    assert 0.3 < result["value"] <= 1
    assert result["penalty"] == 0.5
    train, train_labels, test, test_labels = blobs
    exploded = run_probes(config.probes, train.at[3, 1].set(jnp.nan), train_labels, test, test_labels, 3, KEY)
    # The mean as the answer to everything explains nothing.
    assert exploded["regression(penalty=0.5)"]["value"] == pytest.approx(0.0, abs=0.05)
    assert not exploded["regression(penalty=0.5)"]["finite"]
