"""Iterative pruning from config to report, on tiny networks."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lotteries import CHAINS, DISTILLATION, PRETRAINING, RANDOM, TRAINING, config_of

from repcon_jax.errors import CheckpointError, ConfigError, UserError
from repcon_jax.lottery.counting import kept_count
from repcon_jax.lottery.masks import density, is_nested
from repcon_jax.records.metrics_log import read_metrics
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.tasks.lottery import bench as module
from repcon_jax.tasks.lottery import chains
from repcon_jax.tasks.lottery.config import Chain, parse_lottery, plain_lottery
from repcon_jax.tasks.lottery.rounds import ends
from repcon_jax.tasks.lottery.run import run_lottery
from repcon_jax.training.checkpoints import read_network


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("lottery") / "run"
    return workdir, run_lottery(config_of(), workdir)


def test_everything_is_written_and_a_second_start_does_nothing(finished):
    workdir, results = finished
    assert {path.name for path in (workdir / "figures").iterdir()} == {"accuracy.png", "layers.png", "training.png"}
    said = []
    assert run_lottery(config_of(), workdir, said.append) == json.loads(json.dumps(results))
    assert said == [f"This lottery is complete: see {workdir / 'report.md'}."]
    text = (workdir / "report.md").read_text()
    for rounds in results["chains"].values():
        assert f"{100 * rounds[-1]['accuracy']['mean']:.2f}" in text


@pytest.mark.parametrize("start", list(CHAINS))
def test_rounds_keep_exact_counts_nested_masks_and_rewound_weights(finished, start):
    workdir, results = finished
    folders = [workdir / "rounds" / start / f"{number:02d}" for number in range(3)]
    before = None
    for number, folder in enumerate(folders):
        first, last = (ends(folder, (0, 1), step) for step in (0, None))
        for seed in (0, 1):
            mask, begun = first[seed]["mask"], first[seed]["params"]
            kernels = [leaf for path, leaf in jax.tree_util.tree_flatten_with_path(mask)[0] if "kernel" in str(path)]
            total = sum(leaf.size for leaf in kernels)
            kept = sum(int(leaf.sum()) for leaf in kernels)
            assert kept == kept_count(total, 0.5**number)
            assert results["chains"][start][number]["density"][seed] == pytest.approx(kept / total)
            rows = [row for row in read_metrics(folder) if row["kind"] == "train" and row["seed"] == seed]
            logged = density(mask)
            assert [row["density"] for row in rows] == pytest.approx([logged] * len(rows))
            if before is not None:
                assert is_nested(mask, before[seed]["mask"])
            # 50 steps of momentum, weight decay and batch norm.
            assert all(not np.any(np.asarray(p)[~np.asarray(m)]) for p, m in _leaves(last[seed]["params"], mask))
            assert any(np.any(np.asarray(p) != np.asarray(q)) for p, q in _leaves(last[seed]["params"], begun))
            dense = ends(folders[0], (0, 1), 0)[seed]
            for p, q, m in zip(*map(jax.tree.leaves, (begun, dense["params"], mask)), strict=True):
                np.testing.assert_array_equal(p, np.where(m, q, 0))
            jax.tree.map(np.testing.assert_array_equal, first[seed]["model_state"], dense["model_state"])
        before = first


def _leaves(*trees):
    return zip(*map(jax.tree.leaves, trees), strict=True)


def test_a_round_starts_where_its_reference_says(finished):
    workdir, _ = finished
    for start, place in (("early", "early/checkpoints/seed_1/2"), ("student", "distil/checkpoints/seed_1/4")):
        params, _, _ = read_network(str(workdir / "runs" / place))
        found = ends(workdir / "rounds" / start / "00", (1,), 0)[1]["params"]
        jax.tree.map(np.testing.assert_array_equal, found["encoder"], params["encoder"])
    heads = [ends(workdir / "rounds" / start / "00", (1,), 0)[1]["params"]["head"] for start in ("random", "student")]
    jax.tree.map(np.testing.assert_array_equal, *heads)  # the student's projector is left, a fresh classifier taken


def test_seeds_of_a_population_equal_single_runs(finished, tmp_path):
    _, results = finished
    alone = {**plain_config(TRAINING), "seed": 1, "num_seeds": 1}
    single = run_lottery(config_of(training=alone, chains=RANDOM, runs={}), tmp_path)
    for together, by_itself in zip(results["chains"]["random"], single["chains"]["random"], strict=True):
        assert by_itself["accuracy"]["values"][0] == pytest.approx(together["accuracy"]["values"][1], abs=0.01)


def test_killed_between_and_inside_rounds_it_goes_on_to_the_same_numbers(finished, tmp_path, monkeypatch):
    _, results = finished

    class Killed(Exception):
        pass

    real, calls = module.run_experiment, []

    def killed_in_the_second_round(config, folder, say, experiment):
        calls.append(folder)
        if len(calls) == 2:
            raise Killed  # its start is written already
        return real(config, folder, say, experiment)

    with monkeypatch.context() as patch:
        patch.setattr(module, "run_experiment", killed_in_the_second_round)
        with pytest.raises(Killed):
            run_lottery(config_of(chains=RANDOM, runs={}), tmp_path)
    assert not (tmp_path / "results.json").exists()
    again = run_lottery(config_of(chains=RANDOM, runs={}), tmp_path)
    assert [r["accuracy"] for r in again["chains"]["random"]] == [r["accuracy"] for r in results["chains"]["random"]]


def test_a_round_that_was_begun_keeps_its_mask(tmp_path, monkeypatch):
    one = {**plain_config(TRAINING), "num_seeds": 1, "duration": "2 steps"}
    config = config_of(training=one, chains=RANDOM, runs={}, schedule="one_shot(density=0.5)")
    first = run_lottery(config, tmp_path)
    (tmp_path / "results.json").unlink()

    def never(*arguments):
        raise AssertionError("a round was pruned anew")

    monkeypatch.setattr(chains, "_masks", never)
    assert run_lottery(config, tmp_path) == first


def test_learning_rate_rewinding_goes_on_from_the_last_weights(tmp_path):
    one = {**plain_config(TRAINING), "num_seeds": 1, "duration": "3 steps"}
    schedule = "one_shot(density=0.5)"
    run_lottery(
        config_of(training=one, chains={"x": Chain(rewinding="learning_rate")}, runs={}, schedule=schedule), tmp_path
    )
    last = ends(tmp_path / "rounds" / "x" / "00", (0,))[0]
    begun = ends(tmp_path / "rounds" / "x" / "01", (0,), 0)[0]
    for p, q, m in zip(*map(jax.tree.leaves, (begun["params"], last["params"], begun["mask"])), strict=True):
        np.testing.assert_array_equal(p, jnp.where(m, q, 0))


def test_a_config_survives_json_and_back():
    config = config_of()
    assert parse_lottery(json.loads(json.dumps(plain_lottery(config)))) == parse_lottery(plain_lottery(config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "one_shot(density=0.0)"}, r"schedule.* is 0.0 but must lie in \(0, 1\]"),
        (
            {"chains": {"x": Chain(criterion="movement(source='steps')")}},
            "chains.x.criterion has .*criterion.source is",
        ),
        ({"chains": {"x": Chain(criterion="magnitud")}}, "did you mean 'magnitude'"),
        ({"chains": {"x": Chain(structure="filter")}}, "did you mean 'filters'"),
        ({"chains": {"x": Chain(structure="filters")}}, "chains.x: prunable has 'head/.*kernels_but_output'"),
        ({"chains": {"x": Chain(structure="n_of_m(m=3)")}}, "chains.x: density is 0.5 .*m=3 .*a schedule"),
        ({"chains": {"x": Chain(structure="heads")}}, "chains.x: model declares no attention"),
        ({"chains": {"x": Chain(pruned="before_training", rewinding="none")}}, "has no earlier round"),
        ({"chains": {"x": Chain(iterations=2)}}, "is pruned once a round"),
        ({"chains": {}}, "chains is empty"),
        ({"studies": ("shufled",)}, "did you mean 'shuffled'"),
        ({"studies": ("transfer(data='cifr10')",)}, "did you mean 'cifar10'"),
        ({"studies": ("transfer(data='scenes')",)}, r"whose images are \(8, 8, 3\), but the tickets take \(8, 8, 1\)"),
        ({"studied_chains": ("randm",)}, "did you mean 'random'"),
        ({"studied_rounds": (3,)}, r"studied_rounds is 3 but must lie in \[0, 2\]"),
        ({"training": {**plain_config(DISTILLATION)}}, "which has no accuracy; take 'supervised'"),
        ({"prunable": (("nothing", "prune"), (".*", "keep"))}, "which decides for no parameter"),
        ({"prunable": (("encoder", "prune"),)}, "cover no parameter 'head/"),
        ({"chains": {"x": Chain("early/seed_7/2")}}, "names no member of run 'early'"),
        (
            {"training": {**plain_config(TRAINING), "batch_size": 0}},
            r"training: batch_size is 0 .* --config\.training\.b",
        ),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_trained(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        run_lottery(config_of(**changes), tmp_path)
    assert not (tmp_path / "runs").exists()


def test_a_rewind_step_that_was_never_saved_is_refused_with_the_saved_ones(finished, tmp_path):
    runs = {"early": plain_config(ExperimentConfig(**{**vars(PRETRAINING), "duration": "2 steps"}))}
    with pytest.raises(CheckpointError, match="holds no step 3; saved are 0, 2"):
        run_lottery(config_of(chains={"x": Chain("early/*/3")}, runs=runs), tmp_path)
    assert not (tmp_path / "rounds").exists()


@pytest.mark.parametrize("action", ["warn", "refuse"])
def test_an_emptied_layer_is_named(action, tmp_path):
    one = {**plain_config(TRAINING), "num_seeds": 1, "duration": "2 steps"}
    # Only the largest of all weights is kept, so at least one kernel is emptied.
    tiny = config_of(training=one, chains=RANDOM, runs={}, schedule="one_shot(density=0.002)", empty_layers=action)
    said = []
    if action == "refuse":
        with pytest.raises(ConfigError, match=r"nothing would be left of .*/kernel; end the schedule earlier"):
            run_lottery(tiny, tmp_path, said.append)
    else:
        run_lottery(tiny, tmp_path, said.append)
        assert any("nothing is left of" in line and "/kernel" in line for line in said)
