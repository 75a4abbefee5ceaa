"""The measurements of similarity, geometry and fine-tuning on subjects of tiny networks, and in a study."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from studies import RUNS, STUDY, digits

from repcon_jax.data import prepare_splits
from repcon_jax.errors import ConfigError
from repcon_jax.models import Network, Pixels, attach_head, create_encoder, create_head
from repcon_jax.probing import GEOMETRY_SCORES, SIMILARITIES, extract_features
from repcon_jax.probing.similarities.linear_cka import linear_cka
from repcon_jax.tasks.study.measurements import MEASUREMENTS
from repcon_jax.tasks.study.run import run_study
from repcon_jax.tasks.study.subject import Subject

FINE_TUNING = "fine_tuning(learning_rates=(0.001, 0.01), steps=20, batch_size=32)"


def network(seed):
    model = attach_head(create_encoder("mlp", widths=(12,)), create_head("linear", num_classes=10))
    return Network(*model.init(jax.random.key(seed), jnp.zeros((2, 8, 8, 1))), model, Pixels((0.3,), (0.35,)))


@pytest.fixture(scope="module")
def subject():
    """A pair of random networks on digits."""
    splits, networks = prepare_splits(digits(subset=150)), (network(0), network(1))

    def outputs(which, kind, part):
        assert (kind, part) == ("features", "test")
        return extract_features(networks[which].encoder, splits.test.images, 256)

    return Subject(networks, splits, np.arange(100, dtype=np.int32), jax.random.key(0), outputs)


def measured(text, subject):
    measurement = MEASUREMENTS.parse(text, "measurements.it")
    values = measurement.measure(subject)
    assert values.keys() == measurement.scores.keys()
    return measurement, values


def test_by_default_similarity_is_linear_cka_and_is_called_so(subject):
    measurement, values = measured("similarity", subject)
    assert values == {"cka": float(linear_cka(subject.test_features(0), subject.test_features(1)))}
    assert measurement.scores["cka"].label == "linear CKA"
    assert measurement.reads_features
    assert (measurement.of, measurement.needs) == ("pair", {"target"})


def test_several_similarities_are_scores_by_name(subject):
    _, values = measured("similarity(of=('procrustes', 'mutual_knn(neighbours=3)', 'linear_cka'))", subject)
    features = subject.test_features(0), subject.test_features(1)
    expected = SIMILARITIES.build("mutual_knn", neighbours=3)(*features, subject.key)
    assert list(values) == ["procrustes", "mutual_knn", "cka"]
    assert values["mutual_knn"] == float(expected)


def test_geometry_is_of_the_test_set_and_needs_labels_where_a_score_does(subject):
    measurement, values = measured("geometry(of=('effective_rank(centred=False)', 'dead_units'))", subject)
    expected = GEOMETRY_SCORES.build("effective_rank", centred=False)(subject.test_features())
    assert values["effective_rank"] == float(expected)
    assert measurement.needs == {"target"}
    measurement, values = measured("geometry(of='alignment')", subject)
    labels = jnp.asarray(subject.test.labels)
    assert values["alignment"] == float(GEOMETRY_SCORES.build("alignment")(subject.test_features(), labels, 10))
    assert measurement.needs == {"labels"}
    assert measurement.reads_features


def test_fine_tuning_learns_and_sees_no_label_of_the_test_set(subject):
    measurement, values = measured(FINE_TUNING, subject)
    reading = values["value"]
    assert reading.value > 0.4
    assert reading.details.keys() == {"learning_rate", "held_out_accuracy", "train_accuracy"}
    test = subject.splits.test
    poisoned = dataclasses.replace(test, labels=((test.labels + 1) % 10).astype(test.labels.dtype))
    other = dataclasses.replace(subject, splits=dataclasses.replace(subject.splits, test=poisoned))
    _, values = measured(FINE_TUNING, other)
    assert values["value"].details == reading.details
    assert values["value"].value < reading.value - 0.3
    assert measurement.fits
    assert measurement.scores["value"].about.startswith("the whole network")
    head_only = MEASUREMENTS.parse("fine_tuning(steps=9, head_steps=9)", "measurements.it")
    assert head_only.scores["value"].about.startswith("a linear head alone")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("similarity(of='linear_ckb')", "did you mean 'linear_cka'"),
        ("similarity(of=())", r"measurement.of is \(\) but must name at least one similarity, each once; correct"),
        ("similarity(of=('cca', 'cca(tolerance=0.1)'))", "must name at least one similarity, each once; correct"),
        ("similarity(of='cca(')", r"measurement.of is 'cca\(' but must be a name or a call with keywords"),
        ("geometry(of='uniformity(sharpness=-1.0)')", r"sharpness is -1.0 but must lie in \(0, inf\]"),
        ("geometry(of=3)", r"measurement.of is 3 \(int\) but must be str or a tuple of str"),
        ("fine_tuning(learning_rates=())", r"measurement.learning_rates is \(\) but must hold at least one; correct"),
        ("fine_tuning(optimiser='lion')", "measurement.optimiser is 'lion' .* must be one of 'sgd', 'adam', 'adamw'"),
    ],
)
def test_what_does_not_exist_or_fit_is_told(text, sentence):
    with pytest.raises(ConfigError, match=rf"^measurements.it has .*{sentence}.*$"):
        MEASUREMENTS.parse(text, "measurements.it")


@pytest.mark.slow
def test_a_study_measures_all_of_them(tmp_path):
    config = dataclasses.replace(
        STUDY,
        runs={name: RUNS[name] for name in ("short", "long")},
        networks={"short": "short/*/end", "long": "long/*/end"},
        merges={},
        measurements={
            "similarity": f"similarity(of={tuple(SIMILARITIES.names())})",
            "geometry": f"geometry(of={tuple(GEOMETRY_SCORES.names())})",
            "fine_tuning": FINE_TUNING,
        },
        claims=("fine_tuning: long - short > -1", "geometry/dead_units: long - short < 1"),
        compared=(("geometry/effective_rank", "fine_tuning"),),
        shots=(5,),
        draws=1,
        baseline=None,
    )
    results = run_study(config, tmp_path / "out")
    means = {(row["measurement"], row["score"]): row["mean"] for row in results["means"]}
    names = {("similarity", "cka" if name == "linear_cka" else name) for name in SIMILARITIES.names()}
    names |= {("geometry", name) for name in GEOMETRY_SCORES.names()} | {("fine_tuning", "value")}
    assert means.keys() == names
    assert all(mean is not None for mean in means.values())
    assert [claim["verdict"] for claim in results["claims"]] == ["holds", "holds"]
    (mean,) = (row for row in results["means"] if row["networks"] == ["long"] and row["score"] == "value")
    assert {mean["details"]["learning_rate"][end] for end in ("low", "high")} <= {0.001, 0.01}
    assert json.loads((tmp_path / "out" / "results.json").read_text())["means"]
