"""What holds for every registered probe: it learns from the training set alone, and says how it came to its number."""

import math

import jax
import jax.numpy as jnp
import pytest

from repcon_jax.errors import DataError
from repcon_jax.probing import PROBES, accuracy_of_most_frequent_class, run_probes

KEY = jax.random.key(0)
# Where the defaults need more examples than there are here, or where tuning is an option.
OPTIONS = {
    "linear": (
        "linear(epochs=20, batch_size=10, learning_rate=0.05)",
        "linear(epochs=20, batch_size=10, learning_rate=0.05, normalisation='l2')",
    ),
    "knn": ("knn(neighbours=5)", "knn(neighbours=(1, 5))", "knn(neighbours=3, metric='cosine', temperature=0.07)"),
    "linear_tuned": ("linear_tuned", "linear_tuned(search='bisection', normalisation='none')"),
    "svm": ("svm", "svm(multi_class='crammer_singer', normalisation='l2')"),
}
TEXTS = [text for name in PROBES.names() for text in OPTIONS.get(name, (name,))]
CHOSEN = {"linear_tuned": "C", "svm": "C", "ridge": "penalty", "knn": "neighbours"}


@pytest.fixture(scope="module")
def overlapping():
    """Three classes that overlap, so that choices and errors depend on what is seen."""
    keys = jax.random.split(jax.random.key(3), 5)
    centres = 1.5 * jax.random.normal(keys[0], (3, 6))

    def draw(size, *keys):
        labels = jax.random.randint(keys[0], (size,), 0, 3)
        return centres[labels] + jax.random.normal(keys[1], (size, 6)), labels

    return *draw(75, *keys[1:3]), *draw(45, *keys[3:])


def result_of(text, *data):
    return run_probes((text,), *data, 3, KEY)[text]


@pytest.mark.parametrize("text", TEXTS)
def test_test_examples_change_neither_the_fit_nor_a_choice(overlapping, text):
    train, labels, test, test_labels = overlapping
    clean = result_of(text, *overlapping)
    poison = 100.0 + 1e3 * jax.random.normal(KEY, test.shape)
    together = jnp.concatenate([test, poison])
    right = 0
    for label in range(3):
        poisoned = jnp.concatenate([test_labels, jnp.full(45, label)])
        result = result_of(text, train, labels, together, poisoned)
        assert {k: v for k, v in result.items() if k != "value"} == {k: v for k, v in clean.items() if k != "value"}
        right += round(90 * result["value"])
    # Every poisoned example is read as one of the three, so it was right once; the others are read as before.
    assert right == 3 * round(45 * clean["value"]) + 45


@pytest.mark.parametrize("text", TEXTS)
def test_a_result_says_how_it_came_about(overlapping, text):
    result = result_of(text, *overlapping)
    assert {"train_accuracy", "held_out_accuracy", "normalisation", "converged"} <= result.keys()
    assert 1 / 3 < result["train_accuracy"] <= 1
    name = text.partition("(")[0]
    assert name not in CHOSEN or CHOSEN[name] in result
    assert result["converged"] == (name != "linear")
    tuned = name in ("linear_tuned", "svm", "ridge") or "(1, 5)" in text
    assert (result["held_out_accuracy"] is not None) == tuned
    assert all(isinstance(value, (bool, int, float, str, type(None))) for value in result.values())
    assert all(math.isfinite(value) for value in result.values() if isinstance(value, float))


@pytest.mark.parametrize("text", TEXTS)
def test_of_one_class_only_that_class_is_read(overlapping, text):
    train, _, test, test_labels = overlapping
    only = jnp.ones(75, jnp.int32)
    result = result_of(text, train, only, test, test_labels)
    assert result["value"] == pytest.approx(float(accuracy_of_most_frequent_class(only, test_labels, 3)))


@pytest.mark.parametrize("text", TEXTS)
def test_a_class_without_an_example_is_hardly_ever_read(overlapping, text):
    train, labels, test, test_labels = overlapping
    seen = labels != 1
    absent = jnp.ones(45, jnp.int32)
    assert result_of(text, train[seen], labels[seen], test, absent)["value"] < 0.05
    assert result_of(text, train[seen], labels[seen], test, test_labels)["value"] > 0.4


@pytest.mark.parametrize("text", TEXTS)
def test_too_few_examples_are_said_in_one_sentence(overlapping, text):
    needed = PROBES.parse(text, "probes").examples_needed
    train, labels, test, test_labels = overlapping
    few = max(needed - 1, 1)
    if needed == 1:
        assert result_of(text, train[:1], labels[:1], test, test_labels)["finite"]
        return
    with pytest.raises(DataError, match=f"train has {few} examples but .* needs at least {needed}"):
        result_of(text, train[:few], labels[:few], test, test_labels)
    assert 0 <= result_of(text, train[:needed], labels[:needed], test, test_labels)["value"] <= 1


@pytest.mark.parametrize("text", TEXTS)
def test_features_that_are_not_finite_count_as_a_constant_answer(overlapping, text):
    train, labels, test, test_labels = overlapping
    result = result_of(text, train.at[2, 3].set(jnp.nan), labels, test, test_labels)
    constant = float(accuracy_of_most_frequent_class(labels, test_labels, 3))
    assert result == {"value": pytest.approx(constant), "finite": False}


def test_probes_that_are_traced_side_by_side_are_those_of_a_loop(overlapping):
    train, labels, test, test_labels = overlapping
    trains, tests = jnp.stack([train, 0.5 * train**2]), jnp.stack([test, 0.5 * test**2])
    for text in ("linear(epochs=2)", "knn(neighbours=(1, 5))", "nearest_class_mean(metric='cosine')"):
        probe = PROBES.parse(text, "probes").fit_and_score

        def value_of(train, test, probe=probe):
            return probe(train, labels, test, test_labels, 3, KEY)[0]

        together = jax.vmap(value_of)(trains, tests)
        for value, a, b in zip(together, trains, tests, strict=True):
            assert abs(value - value_of(a, b)) <= 1.5 / 45
