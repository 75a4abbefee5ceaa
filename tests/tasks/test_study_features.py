"""What a study reads: layers, features that are kept, pixels, networks side by side, checkpoints of other runs."""

import dataclasses
import json
import pathlib
import runpy
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from studies import STUDY, digits, study

from repcon_jax.data import prepare_splits, stratified_subset
from repcon_jax.errors import ArgumentError, CheckpointError, ConfigError, DataError
from repcon_jax.merging import MERGING_METHODS
from repcon_jax.models import raw_pixels
from repcon_jax.records.scores import Score
from repcon_jax.run.command_line import read_values
from repcon_jax.run.networks import load_network
from repcon_jax.run.references import expand, load_reference, named_references
from repcon_jax.run.runs import train_runs
from repcon_jax.tasks.study import bench
from repcon_jax.tasks.study.config import MergeConfig, parse_study, plain_study
from repcon_jax.tasks.study.draw_files import read_draws
from repcon_jax.tasks.study.feature_store import FeatureStore
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement, Reading
from repcon_jax.tasks.study.networks import load_networks, seeds_of_reference
from repcon_jax.tasks.study.run import run_study
from repcon_jax.tasks.study.targets import data_digest, draw_shots

NOTHING = {"claims": (), "compared": (), "baseline": None, "merges": {}}
SPYING = {**NOTHING, "measurements": {"spy": "spy"}, "shots": (), "draws": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A work directory in which the runs of the study are trained."""
    workdir = tmp_path_factory.mktemp("study") / "trained"
    train_runs(STUDY.runs, workdir, print)
    return workdir


@pytest.fixture
def workdir(trained, tmp_path):
    """The same to go on in; a study takes it, since it holds runs only."""
    (tmp_path / "work").mkdir()
    shutil.copytree(trained / "runs", tmp_path / "work" / "runs")
    (tmp_path / "work" / "config.json").write_text(json.dumps(plain_study(STUDY)))
    return tmp_path / "work"


@pytest.fixture
def spy(monkeypatch):
    """A measurement that notes the subjects and features that it is given."""
    seen = []

    def build() -> Measurement:
        def measure(subject):
            seen.append((subject, np.asarray(subject.train_features()), np.asarray(subject.test_features())))
            return {"calls": Reading(float(len(seen)), {"number": len(seen), "bad": float("nan"), "chosen": "this"})}

        needs = frozenset({"training"})
        return Measurement(measure, {"calls": Score("calls")}, needs=needs, reads_features=True)

    MEASUREMENTS.names()
    monkeypatch.setitem(MEASUREMENTS._builders, "spy", build)
    return seen


def drawn_test():
    return stratified_subset(prepare_splits(digits(subset=150)).test, 60, 0)


@pytest.mark.slow
def test_every_layer_that_a_network_has_is_read(spy, workdir):
    networks = {"short": "short/seed_0/end", "wider": "wider/seed_0/end"}
    results = run_study(study(**SPYING, networks=networks, layers=("layer1", "layer2", "embedding")), workdir)
    measured = [(mean["networks"][0], mean["layer"]) for mean in results["means"]]
    assert sorted(measured, key=str) == sorted(
        [("short", "layer1"), ("short", None), ("wider", "layer1"), ("wider", "layer2"), ("wider", None)], key=str
    )
    network = load_network(str(workdir / "runs" / "wider" / "checkpoints" / "seed_0" / "3")).encoder
    output, _, features = network.apply(drawn_test().images, intermediates=True)
    by_size = {features.shape[1]: features for subject, _, features in spy if subject.networks[0].model.parts}
    np.testing.assert_allclose(by_size[8], features["layer1"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_size[6], output, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_layer_that_no_network_has_is_named_with_the_existing_ones(spy, workdir):
    with pytest.raises(ConfigError, match=r"layers names 'block3', which no network has; .*embedding, layer1, layer2"):
        run_study(study(**SPYING, layers=("embedding", "block3")), workdir)
    with pytest.raises(ArgumentError, match=r"layers is \('embedding', 'embedding'\) but must name at least one"):
        study(layers=("embedding", "embedding"))


@pytest.mark.slow
def test_details_are_kept_in_rows_and_results_as_json(spy, workdir):
    results = run_study(study(**SPYING), workdir)
    for mean in results["means"]:
        values = [value["value"] for value in mean["values"]]
        spread = {"median": float(np.median(values)), "low": min(values), "high": max(values)}
        assert mean["details"] == {"number": spread}
    lines = (workdir / "values" / "rows.jsonl").read_text().splitlines()
    rows = [row for line in lines for row in json.loads(line)["rows"]]
    assert {(row["details"]["chosen"], row["details"]["bad"]) for row in rows} == {("this", None)}
    assert all(row["details"]["number"] == row["value"] and row["seconds"] >= 0 for row in rows)


@pytest.mark.slow
def test_features_are_computed_once_and_read_by_later_measurements(spy, workdir, monkeypatch):
    run_study(study(**SPYING), workdir)
    files = sorted((workdir / "features").iterdir())
    # short and long have two seeds and "one" is none of those; a file for the examples of each part.
    assert len(files) == 2 * (3 * 2 + 1)
    first = [features for _, *features in spy]
    (workdir / "values" / "rows.jsonl").unlink()
    computed = []
    extract = bench.extract_features
    monkeypatch.setattr(bench, "extract_features", lambda *given: computed.append(given) or extract(*given))
    files[0].write_bytes(files[0].read_bytes()[:-90])  # what is damaged is made anew
    middle = len(files[1].read_bytes()) // 2
    changed = bytearray(files[1].read_bytes())
    changed[middle] ^= 1
    files[1].write_bytes(changed)
    spy.clear()
    (workdir / "results.json").unlink()
    run_study(study(**SPYING), workdir)
    assert len(computed) == 2
    for before, (_, *after) in zip(first, spy, strict=True):
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


def test_half_precision_rounds_what_is_computed_as_what_is_read(tmp_path):
    given = jnp.array([[1 / 3, 1e-3], [7.0, 1e4]])
    store, asked = FeatureStore(tmp_path, "float16"), []

    def compute():
        asked.append(1)
        return given

    first, second = store.features({"a": 1}, compute), store.features({"a": 1}, compute)
    assert len(asked) == 1
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, np.asarray(given, np.float16).astype(np.float32))
    other = store.features({"a": 2}, lambda: 2 * given)
    np.testing.assert_allclose(other, 2 * given, rtol=1e-3)
    with pytest.raises(
        ArgumentError, match=r"feature_cache is 'float16', which ends at 65504, but features reach 1e\+06"
    ):
        store.features({"a": 3}, lambda: 100 * given)
    assert FeatureStore(tmp_path / "none", "none").features({}, compute) is given
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_all_examples_stand_beside_numbers_of_shots_and_are_drawn_once(spy, workdir):
    results = run_study(study(**SPYING | {"shots": (2, None), "draws": 3}), workdir)
    counts = {(mean["networks"][0], mean["shots"]): len(mean["values"]) for mean in results["means"]}
    assert counts["one", 2] == 3
    assert counts["one", None] == 1
    assert counts["long", None] == 2
    assert sorted({len(train) for _, train, _ in spy}) == [20, 150]


@pytest.mark.slow
def test_features_that_are_not_finite_are_refused_with_network_layer_and_count(spy, workdir, monkeypatch):
    extract = bench.extract_features

    def broken(*given):
        features = extract(*given)
        return features.at[3:5].set(jnp.nan)

    monkeypatch.setattr(bench, "extract_features", broken)
    message = r"networks.short gives NaN or infinite features in layer 'embedding' for 2 of 150 train examples of "
    with pytest.raises(ConfigError, match=message + "targets.digits"):
        run_study(study(**SPYING), workdir)


@pytest.mark.slow
def test_no_test_label_touches_a_fit(workdir, monkeypatch):
    """With other test labels accuracies change, and nothing of what was chosen and fitted does."""
    measured = {"probe": "probe(probe='linear_tuned')"}
    config = study(**NOTHING | {"measurements": measured, "draws": 1})
    first = run_study(config, workdir)
    (workdir / "values" / "rows.jsonl").unlink()
    (workdir / "results.json").unlink()
    from repcon_jax.tasks.study import targets

    def poisoned(splits, config):
        limited = original_limited(splits, config)
        test = limited.test
        return dataclasses.replace(limited, test=dataclasses.replace(test, labels=(test.labels + 3) % 10))

    original_limited = targets._limited
    monkeypatch.setattr(targets, "_limited", poisoned)
    second = run_study(config, workdir)
    chosen = [[mean["details"] for mean in results["means"]] for results in (first, second)]
    assert chosen[0] == chosen[1]
    assert chosen[0][0]["C"]["low"] > 0
    assert [m["mean"] for m in first["means"]] != [m["mean"] for m in second["means"]]


@pytest.mark.slow
def test_groups_are_means_over_their_targets_seed_by_seed(workdir):
    changes = {
        "targets": {"a": digits(subset=150), "b": digits(subset=120), "c": digits(subset=100)},
        "groups": {"two": ("a", "b")},
        "measurements": {"probe": "probe(probe='knn(neighbours=3)')"},
        "merges": {},
        "compared": (),
        "claims": ("probe: long - one > 0",),
    }
    results = run_study(study(**changes), workdir)
    values = {
        (mean["target"], mean["networks"][0], mean["shots"]): {
            (v["seed"], v["draw"]): v["value"] for v in mean["values"]
        }
        for mean in results["means"]
    }
    for network, shots in (("long", 2), ("one", 5)):
        a, b, both = (values[target, network, shots] for target in ("a", "b", "two"))
        assert both == pytest.approx({place: (a[place] + b[place]) / 2 for place in a})
    assert {row["target"] for row in results["differences"]} == {"a", "b", "c", "two"}
    assert {row["target"] for row in results["claims"]} == {"a", "b", "c", "two"}
    with pytest.raises(ArgumentError, match=r"groups.two names 'd', which does not exist"):
        study(**changes | {"groups": {"two": ("a", "d")}})
    with pytest.raises(ArgumentError, match=r"groups.a is the name of a target too"):
        study(**changes | {"groups": {"a": ("a", "b")}})
    with pytest.raises(ArgumentError, match=r"groups.two is \('a',\) but must name at least two targets, each once"):
        study(**changes | {"groups": {"two": ("a",)}})


@pytest.mark.slow
def test_what_was_drawn_stands_in_a_file(workdir):
    config = study(**NOTHING | {"measurements": {"probe": "probe(probe='knn(neighbours=1)')"}})
    results = run_study(config, workdir)
    digest, draws = read_draws(workdir / "draws" / "digits.txt")
    assert digest == results["data"]["digits"]["digests"]["train"]
    train = prepare_splits(digits(subset=150)).train
    assert sorted(draws) == [(2, 0), (2, 1), (5, 0), (5, 1)]
    for (shots, draw), indices in draws.items():
        np.testing.assert_array_equal(indices, draw_shots(train, shots, config.seed, draw))
        np.testing.assert_array_equal(np.bincount(train.labels[indices]), shots)


FILES = sorted((pathlib.Path(__file__).parents[2] / "experiments" / "transfer" / "draws").glob("*.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_draws_of_the_battery_are_still_those_that_were_published(file):
    path = pathlib.Path(__file__).parents[2] / "configs" / "transfer.py"
    config = parse_study(runpy.run_path(str(path))["get_config"](None).to_dict())
    digest, draws = read_draws(file)
    try:
        train = prepare_splits(config.targets[file.stem]).train
    except DataError as error:
        pytest.skip(f"data set {config.targets[file.stem].name} is not at hand: {error}")
    if data_digest(train) != digest:
        pytest.skip(f"data set {train.name} is prepared from other examples here")
    assert len(draws) == 25
    for (shots, draw), indices in draws.items():
        np.testing.assert_array_equal(indices, draw_shots(train, shots, config.seed, draw))


@pytest.mark.slow
def test_the_report_says_which_data_was_measured(workdir):
    config = study(**NOTHING | {"measurements": {"probe": "probe(probe='knn(neighbours=1)')"}})
    results = run_study(config, workdir)
    data = results["data"]["digits"]
    assert (data["name"], data["classes"], data["examples"]) == ("digits", 10, {"train": 150, "test": 60})
    assert {(draw["shots"], draw["draw"]) for draw in data["draws"]} == {(2, 0), (2, 1), (5, 0), (5, 1)}
    assert len({draw["digest"] for draw in data["draws"]}) == 4
    assert data["digests"]["train"] in (workdir / "report.md").read_text()
    other = run_study(dataclasses.replace(config, targets={"digits": digits(subset=150, subset_seed=1)}), workdir)
    assert other["data"]["digits"]["digests"]["train"] != data["digests"]["train"]


# Networks


def test_pixels_are_a_network_whose_embedding_is_the_image():
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1)).astype(np.uint8)
    outputs, _ = raw_pixels().apply(images)
    np.testing.assert_allclose(outputs.embedding, images.reshape(3, -1) / 255, rtol=1e-6)
    assert expand("pixels", {}) == ["pixels"]
    assert load_reference("pixels", pathlib.Path(), {}).network == raw_pixels()


@pytest.mark.slow
def test_networks_side_by_side_give_their_embeddings_in_a_row(spy, trained, workdir):
    networks = {"short": "short/seed_0/end", "wider": "wider/seed_0/end", "pixels": "pixels"}
    both = {"both": MergeConfig(("short", "wider", "pixels"), "concatenation")}
    run_study(study(**SPYING | {"networks": networks, "merges": both}), workdir)
    features = [features for *_, features in spy]
    assert [one.shape[1] for one in features] == [16, 6, 64, 86]
    np.testing.assert_allclose(np.concatenate(features[:3], axis=1), features[3], rtol=1e-5, atol=1e-6)
    parts = [load_network(str(trained / "runs" / name / "checkpoints" / "seed_0" / "3")) for name in ("short", "wider")]
    merged = MERGING_METHODS.build("concatenation")(parts)
    named = jax.eval_shape(lambda: merged.encoder.apply(drawn_test().images, intermediates=True)[2])
    assert list(named)[-1] == "embedding"
    assert {"1.layer1", "2.layer2"} <= set(named)


@pytest.mark.slow
def test_checkpoints_of_other_runs_are_found_by_pattern(trained):
    folder = trained / "runs" / "long" / "checkpoints"
    ends = [f"{folder}/seed_{seed}/9" for seed in (0, 1)]
    assert expand(f"{folder}/*/end", {}) == ends
    assert expand(f"{folder}/seed_1/start:params", {}) == [f"{folder}/seed_1/0:params"]
    assert seeds_of_reference(f"{folder}/*/end", {}) == dict(enumerate(ends))
    assert seeds_of_reference(f"{folder}/seed_1/end", {}) == {None: ends[1]}
    for wrong in (f"{folder}/seed_7/end", f"{folder}/seed_0/8", str(folder), "nowhere"):
        with pytest.raises(ConfigError, match="is neither RUN/MEMBER/STEP of a run"):
            expand(wrong, {})
    networks = load_networks(
        study(**NOTHING | {"runs": {}, "networks": {"a": f"{folder}/*/end"}, "measurements": {"p": "probe"}}),
        lambda reference: load_reference(reference, trained, {}),
    )
    assert sorted(networks["a"]) == [0, 1]


@pytest.mark.slow
def test_a_tuple_of_references_names_networks_after_their_runs(trained, tmp_path):
    folders = [trained / "runs" / name / "checkpoints" for name in ("short", "long")]
    every, end = f"{folders[0]}/seed_0/*", f"{folders[1]}/*/end"
    named = named_references(("pixels", every, end))
    steps = {f"short.{step}": f"{folders[0]}/seed_0/{step}" for step in (0, 3)}
    assert named == {"pixels": "pixels", **steps, "long": end}
    (tmp_path / "config.py").write_text(f"def get_config(_): return {plain_study(STUDY)!r}")
    words = [f"--config={tmp_path / 'config.py'}", "--workdir=w", f"--config.networks=('pixels', {end!r})"]
    values, _ = read_values([*words, "--config.merges=()"])
    values |= {**NOTHING, "merges": {}}
    assert parse_study(values).networks == {"pixels": "pixels", "long": end}
    with pytest.raises(ConfigError, match="stands for no checkpoint"):
        named_references((f"{trained}/nothing/seed_0/*",))


def test_a_group_of_fields_is_still_no_tuple(tmp_path):
    (tmp_path / "config.py").write_text(f"def get_config(_): return {plain_study(STUDY)!r}")
    words = [f"--config={tmp_path / 'config.py'}", "--workdir=w", "--config.measurements=('probe',)"]
    with pytest.raises(ConfigError, match="measurements"):
        parse_study(read_values(words)[0])


def test_a_missing_checkpoint_of_a_run_is_told(trained):
    with pytest.raises(CheckpointError, match="holds no step 5; saved are 0, 3"):
        load_reference("short/seed_0/5", trained, STUDY.runs)
