"""Studies from config to report, on networks of a few tiny runs."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal

import jax
import numpy as np
import pytest
from studies import RUNS, STUDY, SUPERVISED, digits, scenes, study

from repcon_jax.__main__ import main
from repcon_jax.data import SOURCES, DataConfig, prepare_splits, stratified_subset
from repcon_jax.errors import CheckpointError, ConfigError
from repcon_jax.machine.stopping import Stopped
from repcon_jax.models import Network, Pixels, create_encoder
from repcon_jax.models.recalibration import recalibrate
from repcon_jax.probing import run_probes
from repcon_jax.random import stream
from repcon_jax.records.scores import Score
from repcon_jax.run.config import plain_config
from repcon_jax.run.networks import load_network
from repcon_jax.run.references import Loaded, load_reference
from repcon_jax.tasks.study import run as module
from repcon_jax.tasks.study.config import MergeConfig, parse_study, plain_study
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement
from repcon_jax.tasks.study.networks import load_networks, seeds_of_reference
from repcon_jax.tasks.study.run import run_study
from repcon_jax.tasks.study.targets import draw_shots


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The work directory of a complete study."""
    workdir = tmp_path_factory.mktemp("study") / "whole"
    run_study(STUDY, workdir)
    return workdir


@pytest.fixture
def copied(measured, tmp_path):
    """The same work directory to go on in."""
    return shutil.copytree(measured, tmp_path / "copied")


def lines_of(workdir):
    return [json.loads(line) for line in (workdir / "values" / "rows.jsonl").read_text().splitlines()]


def rows_of(workdir):
    """Values by measurement/score, networks, shots, draw and seed."""
    rows = [row for line in lines_of(workdir) for row in line["rows"]]
    keys = [
        (f"{row['measurement']}/{row['score']}", *row["networks"], row["shots"], row["draw"], row["seed"])
        for row in rows
    ]
    assert len(set(keys)) == len(keys)
    return {key: row["value"] for key, row in zip(keys, rows, strict=True)}


def network(workdir, name, seed, step):
    return load_network(str(workdir / "runs" / name / "checkpoints" / f"seed_{seed}" / str(step)))


@pytest.fixture(scope="module")
def splits():
    return prepare_splits(digits(subset=150))


@pytest.fixture(scope="module")
def tested(splits):
    """The test examples that the study drew: classes in proportion."""
    return stratified_subset(splits.test, 60, 0)


def embed(network, images):
    return np.asarray(network.apply(images)[0].embedding)


# What is measured


@pytest.mark.slow
def test_a_probe_s_value_is_that_of_the_probe_run_by_hand(measured, splits, tested):
    rows = rows_of(measured)
    long = network(measured, "long", 1, 9)
    drawn = splits.train.take(draw_shots(splits.train, 5, seed=0, draw=1))
    by_hand = run_probes(
        ("knn(neighbours=3)",),
        embed(long, drawn.images),
        drawn.labels,
        embed(long, tested.images),
        tested.labels,
        10,
        stream(jax.random.key(0), "digits 5", 1),
    )
    assert rows["probe/value", "long", 5, 1, 1] == pytest.approx(by_hand["knn(neighbours=3)"]["value"])
    assert rows["probe/value", "long", 5, 1, 1] != rows["probe/value", "short", 5, 1, 1]


@pytest.mark.slow
def test_a_transfer_score_reads_the_training_examples_drawn(measured, splits):
    long = network(measured, "long", 0, 9)
    drawn = splits.train.take(draw_shots(splits.train, 5, seed=0, draw=0))
    features = embed(long, drawn.images).astype(np.float64)
    covariance = np.cov(features.T, bias=True)
    means = np.stack([features[drawn.labels == label].mean(0) for label in drawn.labels])
    expected = np.trace(np.linalg.pinv(covariance, rcond=1e-5, hermitian=True) @ np.cov(means.T, bias=True))
    assert rows_of(measured)["h_score/score", "long", 5, 0, 0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_distances_are_those_of_the_encoders_parameters(measured):
    rows = rows_of(measured)
    vectors = [
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(network(measured, *which).params["encoder"])])
        for which in (("short", 1, 3), ("long", 1, 9))
    ]
    assert rows["distance/euclidean", "short", "long", None, 0, 1] == pytest.approx(
        np.linalg.norm(vectors[0] - vectors[1]), rel=1e-5
    )
    cosine = vectors[0] @ vectors[1] / np.prod([np.linalg.norm(vector) for vector in vectors])
    assert rows["distance/cosine", "short", "long", None, 0, 1] == pytest.approx(cosine, rel=1e-5)


@pytest.mark.slow
def test_a_barrier_is_that_of_a_loop_over_the_line(measured, tested):
    first, second = network(measured, "short", 0, 3), network(measured, "long", 0, 9)
    errors = []
    for t in (0.0, 0.5, 1.0):
        params = jax.tree.map(lambda a, b, t=t: (1 - t) * a + t * b, first.params, second.params)
        logits = first.replace(params=params).apply(tested.images)[0].logits  # with the first's batch norm statistics
        errors.append(np.mean(np.asarray(logits).argmax(-1) != tested.labels))
    expected = max(0.0, errors[1] - (errors[0] + errors[2]) / 2)
    rows = rows_of(measured)
    assert rows["barrier/error", "short", "long", None, 0, 0] == pytest.approx(expected, abs=1e-6)
    assert ("barrier/kl", "short", "long", None, 0, 0) not in rows


@pytest.mark.slow
def test_networks_whose_heads_have_other_outputs_have_a_barrier_of_their_divergence(measured, copied):
    config = study(targets={"two": digits(classes=(3, 5))}, shots=(2,), draws=1, **NOTHING)
    results = run_study(config, copied)
    scores = {row["score"] for row in results["means"] if row["measurement"] == "barrier"}
    assert scores == {"kl"}
    assert all(row["mean"] >= 0 for row in results["means"] if row["score"] == "kl")


@pytest.mark.slow
def test_two_architectures_have_similar_embeddings_but_neither_distance_nor_barrier(measured):
    rows = rows_of(measured)
    for name in ("distance/euclidean", "barrier/error", "barrier/loss"):
        assert (name, "short", "long", None, 0, 0) in rows
        assert not [key for key in rows if key[0] == name and "wider" in key]
    assert 0 < rows["similarity/cka", "long", "wider", None, 0, 0] < 1


@pytest.mark.slow
def test_a_single_network_stands_beside_every_seed(measured):
    rows = rows_of(measured)
    assert ("probe/value", "one", 2, 0, None) in rows
    assert ("probe/value", "one", 2, 0, 0) not in rows
    assert (
        rows["distance/euclidean", "long", "one", None, 0, 0] != rows["distance/euclidean", "long", "one", None, 0, 1]
    )
    results = json.loads((measured / "results.json").read_text())
    (long,) = (
        row
        for row in results["differences"]
        if (row["network"], row["measurement"], row["shots"]) == ("long", "probe", 2)
    )
    by_hand = [
        np.mean(
            [rows["probe/value", "long", 2, draw, seed] - rows["probe/value", "one", 2, draw, None] for draw in (0, 1)]
        )
        for seed in (0, 1)
    ]
    assert long["mean"] == pytest.approx(np.mean(by_hand))
    assert long["count"] == 2


@pytest.mark.slow
def test_a_merge_has_the_mean_parameters_and_batch_norm_statistics_of_the_target(measured, splits, tested):
    first, second = network(measured, "short", 0, 3), network(measured, "long", 0, 9)
    mean = first.replace(params=jax.tree.map(lambda a, b: (a + b) / 2, first.params, second.params))
    key = stream(jax.random.key(0), "calibration")
    chosen = jax.random.permutation(key, len(splits.train))[:40]  # recalibration_examples
    batches = splits.train.images[np.asarray(chosen)].reshape(2, 20, 8, 8, 1)
    recalibrated = recalibrate(mean, jax.numpy.asarray(batches))
    drawn = splits.train.take(draw_shots(splits.train, 5, 0))
    embeddings = [embed(recalibrated, part.images) for part in (drawn, tested)]
    by_hand = run_probes(
        ("knn(neighbours=3)",), embeddings[0], drawn.labels, embeddings[1], tested.labels, 10, jax.random.key(0)
    )
    rows = rows_of(measured)
    assert rows["probe/value", "soup", 5, 0, 0] == pytest.approx(by_hand["knn(neighbours=3)"]["value"])
    half = rows["distance/euclidean", "short", "long", None, 0, 0] / 2
    assert rows["distance/euclidean", "long", "soup", None, 0, 0] == pytest.approx(half, rel=1e-4)


@pytest.mark.slow
def test_results_say_what_was_claimed_compared_and_drawn(measured):
    results = json.loads((measured / "results.json").read_text())
    verdicts = {(row["claim"], row["shots"]): row["verdict"] for row in results["claims"]}
    assert set(verdicts) == {(claim, shots) for claim in STUDY.claims for shots in (2, 5)}
    assert verdicts["h_score/score: long - one < -1e3", 5] == "fails"
    (compared,) = results["compared"]
    assert [place["shots"] for place in compared["targets"]] == [2, 5]
    assert {point["network"] for point in compared["targets"][0]["points"]} == set(STUDY.all_networks)
    assert results["networks"] == ["short", "long", "wider", "one", "soup"]
    assert (results["seeds"], results["draws"]) == ([0, 1], 2)
    text = (measured / "report.md").read_text()
    assert "probe on digits: accuracy (%), higher is better" in text
    assert "difference to one (percentage points)" in text


# What is drawn


@pytest.fixture
def spy(monkeypatch):
    """A measurement that notes what it is given; its score is how often it was asked so far."""
    seen = []

    def build(*, needs: str = "training", of: str = "network") -> Measurement:
        def measure(subject):
            seen.append((subject, subject.train_features() if needs == "training" else None))
            return {"calls": float(len(seen))}

        return Measurement(measure, {"calls": Score("calls")}, of=of, needs=frozenset({needs} - {"nothing"}))

    MEASUREMENTS.names()
    monkeypatch.setitem(MEASUREMENTS._builders, "spy", build)
    return seen


NOTHING = {"claims": (), "compared": (), "baseline": None}
SPYING = {"measurements": {"spy": "spy"}, **NOTHING}


@pytest.mark.slow
def test_k_examples_of_each_class_are_drawn_the_same_for_all_networks(spy, measured, copied, splits):
    run_study(study(**SPYING), copied)
    by_draw = {}
    for subject, features in spy:
        counts = np.bincount(subject.train.labels, minlength=10)
        assert len(set(counts)) == 1
        np.testing.assert_array_equal(subject.train.images, splits.train.images[subject.drawn])
        network = subject.network
        np.testing.assert_allclose(features, embed(network, subject.train.images), rtol=1e-4, atol=1e-5)
        by_draw.setdefault(tuple(subject.drawn), []).append(subject.key)
    # two numbers of shots, each drawn twice, for 2 seeds of 4 networks and the single one
    assert sorted(map(len, by_draw)) == [20, 20, 50, 50]
    assert {len(keys) for keys in by_draw.values()} == {9}
    assert all(len({str(jax.random.key_data(key)) for key in keys}) == 1 for keys in by_draw.values())
    keys = [str(jax.random.key_data(keys[0])) for keys in by_draw.values()]
    assert len(set(keys)) == 4


def test_draws_are_stratified_nested_and_differ(splits):
    train = splits.train
    few, many, other = (set(draw_shots(train, *how)) for how in ((2, 0), (5, 0), (2, 0, 1)))
    assert few < many
    assert few != other
    assert set(draw_shots(train, 2, 1)) != few
    np.testing.assert_array_equal(draw_shots(train, 5, 0), sorted(many))
    np.testing.assert_array_equal(draw_shots(train, None, 3), np.arange(len(train)))


@pytest.mark.slow
def test_without_shots_all_training_examples_are_given_once(spy, copied):
    results = run_study(study(**SPYING, shots=()), copied)
    assert {len(subject.drawn) for subject, _ in spy} == {150}
    assert results["draws"] == 1
    assert {mean["shots"] for mean in results["means"]} == {None}


@pytest.mark.slow
def test_a_measurement_without_target_is_made_once_a_network_and_one_without_need_reads_no_training_examples(
    spy, copied
):
    run_study(study(**SPYING | {"measurements": {"spy": "spy(needs='nothing')"}}, targets={}), copied)
    assert len(spy) == 9
    assert all(subject.splits is None for subject, _ in spy)
    spy.clear()
    run_study(study(**SPYING | {"measurements": {"spy": "spy(needs='target')"}}), copied)
    assert len(spy) == 9
    with pytest.raises(ValueError, match="let it declare that need"):
        spy[0][0].train_features()


@pytest.mark.slow
def test_logits_are_those_of_the_head(spy, copied):
    run_study(study(**SPYING, shots=(2,), draws=1), copied)
    subject, _ = spy[0]
    expected = subject.network.apply(subject.train.images)[0].logits
    np.testing.assert_allclose(subject.train_logits(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_values_that_are_not_finite_are_null_and_undecided(monkeypatch, copied):
    def build() -> Measurement:
        return Measurement(lambda subject: {"value": float("nan")}, {"value": Score("nothing")})

    MEASUREMENTS.names()
    monkeypatch.setitem(MEASUREMENTS._builders, "nothing", build)
    changes = {"measurements": {"nothing": "nothing"}, "claims": ("long - short > 0",), "compared": ()}
    results = run_study(study(**changes), copied)
    assert results["claims"][0]["verdict"] == "undecided"
    assert {mean["mean"] for mean in results["means"]} == {None}
    assert "NaN" not in (copied / "results.json").read_text() + (copied / "values" / "rows.jsonl").read_text()
    assert "not finite" in (copied / "report.md").read_text()


# Going on


@contextlib.contextmanager
def stopped_after(monkeypatch, cells):
    @contextlib.contextmanager
    def requests():
        asked = iter([0] * cells)
        yield lambda: next(asked, signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(module, "stop_requests", requests)
        yield


@pytest.mark.slow
def test_a_study_that_was_stopped_or_cut_short_goes_on_to_the_same_results(spy, copied, monkeypatch):
    config = study(**SPYING)
    with stopped_after(monkeypatch, 7), pytest.raises(Stopped):
        run_study(config, copied)
    assert len(spy) == 7
    assert not (copied / "results.json").exists()
    file = copied / "values" / "rows.jsonl"
    file.write_text(file.read_text()[:-9])  # as a kill in the middle of a line leaves it
    with stopped_after(monkeypatch, 5), pytest.raises(Stopped):
        run_study(config, copied)
    assert len(spy) == 12
    results, said = run_study(config, copied), []
    assert len(spy) == 9 * 4 + 1  # only the line that was cut short was measured again
    assert run_study(config, copied, said.append) == json.loads(json.dumps(results))
    assert said == [f"This study is complete: see {copied / 'report.md'}."]
    assert len(spy) == 9 * 4 + 1


@pytest.mark.slow
def test_what_was_measured_after_a_stop_is_what_would_have_been(measured, copied, monkeypatch):
    (copied / "values" / "rows.jsonl").unlink()
    (copied / "results.json").unlink()
    with stopped_after(monkeypatch, 30), pytest.raises(Stopped):
        run_study(STUDY, copied)
    assert len(lines_of(copied)) == 30
    run_study(STUDY, copied)
    assert rows_of(copied) == rows_of(measured)
    for name in ("results.json", "report.md", "means.csv", "differences.csv"):
        assert (copied / name).read_text() == (measured / name).read_text()


@pytest.mark.slow
def test_only_what_is_new_is_measured(spy, copied):
    changes = SPYING | {"shots": (2,), "draws": 1}

    def count(**more):
        before = len(spy)
        run_study(study(**changes | more), copied)
        return len(spy) - before

    assert count() == 9
    assert count(title="another", claims=("long - short > 0",), baseline="short") == 0
    assert count(targets={**STUDY.targets, "scenes": scenes()}) == 9
    assert count(networks={**STUDY.networks, "start": "long/*/start"}) == 2
    assert count(measurements={"spy": "spy", "again": "spy(of='pair')"}) == 2 * 10
    assert count(draws=2) == 9
    assert count(test_examples=50) == 9


@pytest.mark.slow
def test_a_run_may_be_added_but_not_changed(spy, copied):
    runs = {**RUNS, "other": plain_config(dataclasses.replace(SUPERVISED, duration="1 steps"))}
    changes = SPYING | {"shots": (2,), "draws": 1}
    run_study(study(**changes), copied)
    spy.clear()
    run_study(study(**changes, runs=runs, networks={**STUDY.networks, "other": "other/*/end"}), copied)
    assert len(spy) == 2
    run_study(study(**changes), copied)  # and left out again
    runs["short"] = plain_config(dataclasses.replace(SUPERVISED, duration="1 steps"))
    with pytest.raises(CheckpointError, match=r"belongs to another config: runs\.short\.duration differ"):
        run_study(study(runs=runs), copied)


@pytest.mark.slow
def test_a_checkpoint_elsewhere_that_changed_is_measured_again(spy, measured, tmp_path):
    elsewhere = shutil.copytree(measured / "runs" / "short", tmp_path / "elsewhere")
    place = elsewhere / "checkpoints" / "seed_0" / "3"
    config = study(**SPYING, runs={}, networks={"one": str(place)}, merges={}, shots=(2,), draws=1)
    before = run_study(config, tmp_path / "out")
    shutil.rmtree(place)
    shutil.copytree(measured / "runs" / "short" / "checkpoints" / "seed_1" / "3", place)
    (tmp_path / "out" / "report.md").unlink()
    after = run_study(config, tmp_path / "out")
    assert [results["means"][0]["mean"] for results in (before, after)] == [1, 2]


@pytest.mark.slow
def test_sigterm_ends_a_command_between_two_cells_and_the_same_command_goes_on(monkeypatch, copied, capsys):
    asked = []

    def build() -> Measurement:
        def measure(subject):
            asked.append(subject)
            if len(asked) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return {"calls": 1.0}

        return Measurement(measure, {"calls": Score("calls")})

    MEASUREMENTS.names()
    monkeypatch.setitem(MEASUREMENTS._builders, "asking", build)
    values = plain_study(study(**SPYING | {"measurements": {"asking": "asking"}}))
    arguments = [*command(copied, values)[:1], f"--workdir={copied}"]
    assert main(arguments) == 143
    assert "Stopped and saved; the same command goes on from here" in capsys.readouterr().err
    assert len(asked) == 3
    assert main(arguments) == 0
    assert len(asked) == 9
    assert "**asking: calls**" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("some notes\n", "line 1 of .*rows.jsonl is no JSON object; move it away or use another work directory"),
        ('{"at": [0.0], "values": {}}\n', "rows.jsonl holds no rows of a study; move it away or use another"),
        ('{"about": "x", "rows": [{"value": 1}]}\n', "rows.jsonl holds no rows of a study"),
        ("[1, 2]\n", "holds other lines than JSON objects"),
    ],
)
def test_a_foreign_file_of_rows_is_refused_in_a_sentence(text, message, copied):
    (copied / "values" / "rows.jsonl").write_text(text)
    (copied / "results.json").unlink()
    with pytest.raises(CheckpointError, match=message):
        run_study(STUDY, copied)
    assert (copied / "values" / "rows.jsonl").read_text() == text


# What does not fit


def test_a_reference_with_a_star_stands_for_seeds_and_any_other_for_itself():
    population = {"seed": (0, 3), "learning_rate": (0.1, 0.2)}
    runs = {"a": plain_config(dataclasses.replace(SUPERVISED, num_seeds=1, population=population))}
    assert seeds_of_reference("a/learning_rate_0.2__*/end", runs) == {
        0: "a/learning_rate_0.2__seed_0/end",
        3: "a/learning_rate_0.2__seed_3/end",
    }
    assert seeds_of_reference("a/learning_rate_0.1__seed_3/end:teacher", runs) == {
        None: "a/learning_rate_0.1__seed_3/end:teacher"
    }
    with pytest.raises(
        ConfigError,
        match=r"reference 'a/\*/end' stands for several members of seed 0, learning_rate_0.1__seed_0 and "
        r"learning_rate_0.2__seed_0; name the values in which they differ, such as a/learning_rate_0.2__\*/end",
    ):
        seeds_of_reference("a/*/end", runs)


def test_a_config_survives_json_and_back():
    assert parse_study(json.loads(json.dumps(plain_study(STUDY)))) == parse_study(plain_study(STUDY))


MISTAKES = {
    "networks.short=shrt/*/end": "networks.short: reference 'shrt/*/end' is neither RUN/MEMBER/STEP of a run",
    "networks.short=short/seed_7/end": "networks.short: reference 'short/seed_7/end' names no member of run 'short'",
    "merges.soup.networks=('short', 'lng')": "merges.soup.networks names 'lng', which does not exist; did you mean",
    "merges.soup.networks=('short',)": "merges.soup.networks is ('short',) but must name at least two",
    "merges.soup.method=avrage": "merges.soup.method has 'avrage': merging_method.name is 'avrage', which does not",
    "merges.soup.method=average(weights=(1.0, -1.0))": "merging_method.weights is (1.0, -1.0), which sums to zero",
    "baseline=teacher": "baseline names 'teacher', which does not exist",
    "claims=('probe: lng - short > 0',)": "has 'probe: lng - short > 0' but no network is called 'lng'; did you",
    "claims=('prob: long - short > 0',)": "claims names 'prob', which is no measurement of single networks or score",
    "claims=('probe/loss: long - short > 0',)": "claims names 'probe/loss', which is no measurement of single networks",
    "claims=('distance: long - short > 0',)": "claims names 'distance', which is no measurement of single networks",
    "claims=('long - short > 0',)": "claims has 'long - short > 0', which does not say of which measurement; name",
    "claims=('probe: long-short > 0',)": "a claim reads 'MEASUREMENT: FIRST - SECOND > NUMBER', or with <; write it",
    "claims=('probe: long - long > 0',)": "which compares a network with itself",
    "claims=('probe: long - short = 0',)": "but a claim reads 'MEASUREMENT: FIRST - SECOND > NUMBER', or with <",
    "compared=(('h_score', 'prob'),)": "compared names 'prob', which is no measurement of single networks or score",
    "compared=(('h_score', 'similarity'),)": "compared names 'similarity', which is no measurement of single",
    "measurements.probe=prob": "measurements.probe has 'prob': measurement.name is 'prob', which does not",
    "measurements.probe=probe(prob='knn')": "measurement.prob is not an option of 'probe'; did you mean 'probe'?",
    "measurements.probe=probe(probe='knn(neighbors=3)')": "neighbors is not an option of 'knn'; did you mean",
    "measurements.probe=probe(probe=3)": "measurement.probe is 3 (int) but must be str",
    "measurements.probe=probe('knn')": "is \"probe('knn')\" but must be a name or a call with keywords",
    "measurements.h_score=transfer(score='leep')": "transfer_score.name is 'leep', which does not exist",
    "measurements.h_score=transfer(score='h_score(tolerance=-1.0)')": "; correct --config.measurements.h_score.",
    "measurements.barrier=barrier(num_points=2)": "measurement.num_points is 2 but must lie in [3, inf]",
    "measurements.barrier=barrier(batch_norm='last')": "measurement.batch_norm is 'last' (str) but must be one of",
    "shots=(0,)": "shots is 0 but must lie in [1, inf]; correct --config.shots",
    "shots=5": "shots is 5 (int) but must be a tuple of int",
    "shots=(2, 50)": "shots is (2, 50) but class '0' of targets.digits has 15 training examples; correct",
    "draws=0": "draws is 0 but must lie in [1, inf]",
    "test_examples=1": "test_examples is 1 but must lie in [2, inf]",
    "measurements.probe=probe(probe='knn(neighbours=30)')": "measurements.probe needs 30 training examples but 20 are",
    "targets.digits.name=digit": "targets.digits: data set 'digit' does not exist; did you mean 'digits'",
    "runs.short.batch_size=0": "is 0 but must lie in [1, inf]; correct --config.runs.short.batch_size.",
    "networks.one=short/seed_0": "networks.one: reference 'short/seed_0' names a run but must be RUN/MEMBER/STEP",
}


def command(tmp_path, values, *overrides):
    """The command line with a config file that holds these values."""
    file = tmp_path / "config.py"
    file.write_text(f"def get_config(argument):\n    return {values!r}\n")
    return [f"--config={file}", f"--workdir={tmp_path / 'out'}", *(f"--config.{text}" for text in overrides)]


def refused(arguments, tmp_path, capsys):
    """The one sentence in which a command is refused before anything is trained."""
    assert main(arguments) == 2
    assert not (tmp_path / "out").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith((".", ")", "?"))
    return line


@pytest.mark.parametrize("override", MISTAKES)
def test_a_mistake_is_told_in_a_sentence_before_anything_is_trained(override, tmp_path, capsys):
    sentence = refused(command(tmp_path, plain_study(STUDY), override), tmp_path, capsys)
    assert MISTAKES[override] in sentence


NOISE = DataConfig("gaussian_noise", options=SOURCES.options("gaussian_noise") | {"num_examples": 20, "image_size": 8})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measurements": {}}, "measurements is empty but must name at least one"),
        ({"networks": {}}, "networks is empty but must name at least one"),
        ({"runs": {**RUNS, "short": None}}, "runs.short is None but must be a run's config, a group of fields"),
        ({"runs": {**RUNS, "..": RUNS["short"]}}, "runs has the name '..' but names consist of letters"),
        ({"runs": {**RUNS, "a/b": RUNS["short"]}}, "runs has the name 'a/b' but names consist of letters"),
        ({"measurements": {"a b": "distance"}}, "measurements has the name 'a b' but names consist of letters"),
        ({"merges": {"short": {"networks": ["short", "long"]}}}, "merges.short is the name of a network too; rename"),
        ({"targets": {}}, "targets is empty but measurements.probe reads a data set; name one"),
        (
            {"networks": {"one": "short/seed_0/end"}, "merges": {}, "claims": [], "compared": []},
            "measurements.similarity is of pairs but there is a single network; name another network or drop",
        ),
        (
            {"networks": {**STUDY.networks, "other": "fewer/*/end"}, "runs": "fewer", "baseline": "other"},
            "baseline compares 'short' of the seeds 0, 1 with 'other' of the seeds 4, which have none in common",
        ),
        (
            {"networks": {**STUDY.networks, "long": "fewer/*/end"}, "runs": "fewer", "claims": []},
            "merges.soup.networks: 'short' has the seeds 0, 1 but together they have the seeds 0, 1, 4; merge networks",
        ),
        (
            {"targets": {"noise": dataclasses.asdict(NOISE)}},
            "targets.noise is 'gaussian_noise', which lacks labels or a test set, but measurements.probe needs both",
        ),
        ({"probes": ["knn"]}, "config has no field 'probes'"),
    ],
)
def test_a_config_that_does_not_fit_together_is_told_before_anything_is_trained(changes, message, tmp_path, capsys):
    values = {**plain_study(STUDY), **changes}
    if changes.get("runs") == "fewer":
        values["runs"] = {**RUNS, "fewer": plain_config(dataclasses.replace(SUPERVISED, seed=4, num_seeds=1))}
    assert message in refused(command(tmp_path, values), tmp_path, capsys)


@pytest.mark.slow
def test_a_run_whose_end_is_gone_is_not_measured_at_an_earlier_step(copied):
    (copied / "results.json").unlink()
    folder = copied / "runs" / "long" / "checkpoints" / "seed_1"
    end = max(folder.glob("[0-9]*"), key=lambda step: int(step.name))
    shutil.rmtree(end)
    before = lines_of(copied)
    with pytest.raises(CheckpointError, match=rf"seed_1 has no step {end.name}, with which that run ended; put it"):
        run_study(STUDY, copied)
    assert lines_of(copied) == before


@pytest.mark.slow
def test_networks_that_cannot_be_merged_are_told_before_anything_is_measured(copied):
    message = r"merges\.soup with 'average' of short, wider: .*network 2"
    with pytest.raises(ConfigError, match=message):
        run_study(study(merges={"soup": MergeConfig(("short", "wider"))}), copied)
    message = r"merges\.soup with .* of short, long: weights has 3 entries for 2 networks; give one each"
    with pytest.raises(ConfigError, match=message):
        run_study(study(merges={"soup": MergeConfig(("short", "long"), "average(weights=(1.0, 1.0, 1.0))")}), copied)


def test_what_is_no_single_network_is_told_with_what_it_holds():
    bends = Network({"bend_0": {}, "bend_1": {}}, {}, create_encoder("mlp", widths=(4,)))
    config = study(networks={"bent": "short/seed_0/end"}, merges={}, measurements={"h_score": "transfer"}, **NOTHING)
    with pytest.raises(
        CheckpointError, match=r"networks\.bent is 'short/seed_0/end', which holds no encoder with a head"
    ):
        load_networks(config, lambda reference: Loaded(reference, bends, ""))


COLOURED = {"targets": {"scenes": scenes()}, "shots": (2,), "draws": 1, "measurements": {"h_score": "transfer"}}


@pytest.mark.slow
def test_a_network_of_other_channels_is_told_before_anything_is_measured(copied, monkeypatch):
    two = Pixels((0.5, 0.5), (0.25, 0.25), (8, 8))

    def load(reference, workdir, runs):
        loaded = load_reference(reference, workdir, runs)
        return loaded._replace(network=loaded.network.replace(pixels=two))

    monkeypatch.setattr(module, "load_reference", load)
    with pytest.raises(ConfigError, match=r"targets\.scenes has images of 3 channels but networks\.short takes 2"):
        run_study(study(**NOTHING | COLOURED, merges={}), copied)


@pytest.mark.slow
def test_a_target_of_other_size_and_colours_is_measured(copied):
    results = run_study(study(**NOTHING | COLOURED), copied)
    assert all(0 < mean["mean"] <= 9.01 for mean in results["means"])


@pytest.mark.slow
def test_a_step_that_was_never_saved_is_told_with_the_saved_ones(copied):
    with pytest.raises(CheckpointError, match=re.escape("holds no step 2; saved are 0, 3")):
        run_study(study(networks={**STUDY.networks, "short": "short/*/2"}), copied)
