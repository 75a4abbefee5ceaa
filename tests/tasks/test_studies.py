"""What is done with tickets, and other ways to prune and rewind, on tiny networks."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lotteries import DISTILLATION, TRAINING, config_of

from repcon_jax import losses
from repcon_jax.errors import ConfigError
from repcon_jax.figures.lottery import lottery_table, write_lottery_figures
from repcon_jax.lottery.counting import kept_count
from repcon_jax.lottery.masks import counts, full_mask, is_nested, mask_agreement
from repcon_jax.lottery.prunable import prunable
from repcon_jax.models import ENCODERS
from repcon_jax.options.choices import with_options
from repcon_jax.random import stream
from repcon_jax.run.config import plain_config
from repcon_jax.run.experiment import build_experiment
from repcon_jax.run.seeded import initial_states
from repcon_jax.tasks.lottery import bench as module
from repcon_jax.tasks.lottery.config import Chain
from repcon_jax.tasks.lottery.pruning import build_pruner, pruning_batches
from repcon_jax.tasks.lottery.rounds import ends
from repcon_jax.tasks.lottery.run import run_lottery
from repcon_jax.tasks.lottery.studies.agreement import chance_agreement
from repcon_jax.tasks.lottery.studies.random_mask import random_like
from repcon_jax.tasks.lottery.studies.shuffled import shuffle_within_filters
from repcon_jax.trees import named_leaves

DATA = {**plain_config(TRAINING)["data"], "classes": (0, 1, 2, 3, 4)}
SHORT = {**plain_config(TRAINING), "duration": "4 steps", "data": DATA}
STUDIES = (
    "random_mask",
    "reinitialised",
    "shuffled(within='filter')",
    "dense_as_long",
    "transfer(data='digits')",
    "instability(num_points=3)",
    "agreement",
    "removal(repeats=1)",
)


def studied(**changes):
    values = {"training": SHORT, "runs": {}, "chains": {"random": Chain()}, "schedule": "one_shot(density=0.5)"}
    return config_of(**{**values, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("studies") / "run"
    run_lottery(studied(), workdir)
    stamps = {path: path.stat().st_mtime_ns for path in workdir.glob("rounds/*/*/results.json")}
    results = run_lottery(dataclasses.replace(studied(studies=STUDIES), title="studies of it"), workdir)
    assert stamps == {path: path.stat().st_mtime_ns for path in workdir.glob("rounds/*/*/results.json")}
    return workdir, results


def begin_of(workdir, study, number=1, seed=0):
    return ends(workdir / "studies" / study / "random" / f"{number:02d}", (seed,), 0)[seed]


def round_of(workdir, number=1, step=0, seed=0):
    return ends(workdir / "rounds" / "random" / f"{number:02d}", (seed,), step)[seed]


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (first, second)), strict=True))


@pytest.mark.slow
def test_studies_may_be_added_to_a_finished_lottery_and_are_reported(finished):
    workdir, results = finished
    again = run_lottery(dataclasses.replace(studied(studies=STUDIES), title="studies of it"), workdir)
    assert again == json.loads(json.dumps(results))
    table = lottery_table(results)
    assert table == lottery_table(json.loads(json.dumps(results)))
    assert (workdir / "report.md").read_text().count("error barrier (%)") == 1
    assert {path.stem for path in (workdir / "figures").iterdir()} >= {"controls", "transfer", "barriers", "agreement"}
    for name in ("random_mask", "reinitialised", "transfer(data='digits')"):
        entry = results["studies"][name]["entries"][1]
        assert f"{100 * entry['accuracy']['mean']:.2f}" in table
        assert entry["trained_density"][0] == pytest.approx(0.5, abs=0.2)


@pytest.mark.slow
def test_controls_train_what_they_say(finished):
    workdir, _ = finished
    dense, ticket = round_of(workdir, 0), round_of(workdir)
    for study in ("random_mask", "shuffled_within__filter__"):
        begun = begin_of(workdir, study)
        assert counts(begun["mask"]) == counts(ticket["mask"])
        assert not equal(begun["mask"], ticket["mask"])
        assert equal(begun["params"], jax.tree.map(lambda m, p: np.where(m, p, 0), begun["mask"], dense["params"]))
    fresh = begin_of(workdir, "reinitialised")
    assert equal(fresh["mask"], ticket["mask"])
    for kernel, kept, start in zip(
        *map(jax.tree.leaves, (fresh["params"], fresh["mask"], dense["params"])), strict=True
    ):
        assert not np.any(np.asarray(kernel)[~np.asarray(kept)])
        if kernel.ndim > 1:
            assert not np.any((np.asarray(kernel) == np.asarray(start)) & np.asarray(kept))


@pytest.mark.slow
def test_the_dense_network_trains_for_as_many_steps_as_all_rounds(finished):
    workdir, results = finished
    (entry,) = results["studies"]["dense_as_long"]["entries"]
    assert (entry["round"], entry["trained_density"]) == (1, [1.0, 1.0])
    folder = workdir / "studies" / "dense_as_long" / "random" / "01"
    assert json.loads((folder / "results.json").read_text())["steps"] == 2 * 4
    assert equal(begin_of(workdir, "dense_as_long")["params"], round_of(workdir, 0)["params"])


@pytest.mark.slow
def test_a_transferred_ticket_keeps_encoder_and_mask_and_gets_a_head(finished):
    workdir, _ = finished
    begun, ticket = begin_of(workdir, "transfer_data__digits__"), round_of(workdir)
    for part in ("params", "mask"):
        assert equal(begun[part]["encoder"], ticket[part]["encoder"])
    assert all(np.all(leaf) for leaf in jax.tree.leaves(begun["mask"]["head"]))


@pytest.mark.slow
def test_the_ends_of_a_path_are_the_two_trainings(finished):
    workdir, results = finished
    entries = results["studies"]["instability(num_points=3)"]["entries"]
    for entry, rounds in zip(entries, results["chains"]["random"], strict=True):
        folder = workdir / "studies" / "instability_num_points_3_" / "random" / f"{entry['round']:02d}"
        again = json.loads((folder / "results.json").read_text())
        assert again["seeds"] == [1000, 1001]
        for seed in (0, 1):
            first, _, last = entry["error"]["values"][seed]
            # Statistics are measured anew on the way; without batch norm the ends are the trainings exactly.
            assert first == pytest.approx(1 - rounds["accuracy"]["values"][seed], abs=0.35)
            assert last == pytest.approx(1 - again["test"]["accuracy"]["values"][seed], abs=0.35)
            one = ends(folder, (1000 + seed,), None)[1000 + seed]
            other = ends(workdir / "rounds" / "random" / f"{entry['round']:02d}", (seed,), None)[seed]
            assert equal(one["mask"], other["mask"])
            assert not equal(one["params"], other["params"])
        assert entry["error"]["barrier"]["mean"] >= 0


@pytest.mark.slow
def test_without_batch_norm_the_ends_of_a_path_are_exact(tmp_path):
    one = {**SHORT, "num_seeds": 1}
    one["encoder"] = {**one["encoder"], "normalisation": "none"}
    results = run_lottery(studied(training=one, studies=("instability(num_points=3)",), studied_rounds=(1,)), tmp_path)
    (entry,) = results["studies"]["instability(num_points=3)"]["entries"]
    ((first, _, last),) = entry["error"]["values"]
    again = json.loads((next(tmp_path.glob("studies/*/random/01")) / "results.json").read_text())
    assert first == pytest.approx(1 - results["chains"]["random"][1]["accuracy"]["values"][0], abs=1e-6)
    assert last == pytest.approx(1 - again["test"]["accuracy"]["values"][0], abs=1e-6)


@pytest.mark.slow
def test_agreement_between_seeds_counts_what_may_be_pruned(finished):
    workdir, results = finished
    dense, pruned = results["studies"]["agreement"]["entries"]
    assert dense["masks"]["mean"] == dense["masks_by_chance"]["mean"] == 1
    masks = [round_of(workdir, seed=seed)["mask"] for seed in (0, 1)]
    kernels = [{n: leaf for n, leaf in named_leaves(mask).items() if n.endswith("kernel")} for mask in masks]
    assert pruned["masks"]["values"] == [mask_agreement(*kernels)]
    assert 0 < pruned["signs_at_end"]["mean"] < 1


def test_agreement_by_chance_is_that_of_random_masks(tmp_path):
    random = np.random.default_rng(0)
    masks = [{"a": random.random(4000) < 0.3, "b": random.random(1000) < 0.9} for _ in range(2)]
    found = [
        mask_agreement(*({n: random.permutation(m) for n, m in mask.items()} for mask in masks)) for _ in range(50)
    ]
    assert chance_agreement(*masks) == pytest.approx(np.mean(found), abs=0.003)
    with pytest.raises(ConfigError, match="there is one seed"):
        run_lottery(studied(training={**SHORT, "num_seeds": 1}, studies=("agreement",)), tmp_path)


def test_random_masks_keep_as_many_weights_by_layer_or_over_all():
    random = np.random.default_rng(1)
    mask = {"a": {"kernel": random.random((30, 20)) < 0.2, "bias": np.ones(20, bool)}, "b": random.random((9, 9)) < 0.7}
    may = {"a": {"kernel": True, "bias": False}, "b": True}
    layerwise, overall = (random_like(mask, may, jax.random.key(0), layerwise=flag) for flag in (True, False))
    assert counts(layerwise) == counts(mask)
    assert not equal(layerwise, mask)
    kept = lambda tree: sum(number for name, (number, _) in counts(tree).items() if "bias" not in name)  # noqa: E731
    assert kept(overall) == kept(mask)
    assert counts(overall) != counts(mask)
    assert np.all(overall["a"]["bias"])


def test_shuffling_within_filters_keeps_the_inputs_of_every_output():
    mask = {"kernel": jnp.asarray(np.random.default_rng(2).random((3, 3, 4, 5)) < 0.4), "bias": jnp.ones(5, bool)}
    shuffled = shuffle_within_filters(mask, jax.random.key(0))
    np.testing.assert_array_equal(shuffled["kernel"].sum((0, 1, 2)), mask["kernel"].sum((0, 1, 2)))
    assert not equal(shuffled, mask)
    assert np.all(shuffled["bias"])


@pytest.fixture(scope="module")
def before_training(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("before") / "run"
    chains = {
        name: Chain(criterion=name, pruned="before_training") for name in ("magnitude", "snip", "grasp", "fisher")
    }
    chains["synflow"] = Chain(criterion="synflow", pruned="before_training", iterations=3)
    chains["student"] = Chain("distil/*/end", criterion="snip", pruned="before_training")
    runs = {"distil": {**plain_config(DISTILLATION), "duration": "2 steps"}}
    config = studied(chains=chains, runs=runs, training={**SHORT, "duration": "2 steps"})
    return workdir, config, run_lottery(config, workdir)


@pytest.mark.slow
def test_masks_at_initialisation_have_exact_counts_and_differ_by_criterion(before_training):
    workdir, config, results = before_training
    masks = {}
    for name in config.chains:
        begun = ends(workdir / "rounds" / name / "01", (0, 1), 0)
        for seed in (0, 1):
            mask = begun[seed]["mask"]
            kernels = [pair for path, pair in counts(mask).items() if path.endswith("kernel")]
            total = sum(size for _, size in kernels)
            assert sum(kept for kept, _ in kernels) == kept_count(total, 0.5)
            owner = "student" if name == "student" else "magnitude"
            dense = ends(workdir / "rounds" / owner / "00", (seed,), 0)[seed]["params"]
            assert equal(begun[seed]["params"], jax.tree.map(lambda m, p: np.where(m, p, 0), mask, dense))
            masks[name, seed] = mask
    for first, second in itertools.combinations(masks.values(), 2):
        assert not equal(first, second)
    assert len(results["chains"]["snip"]) == 2


def test_the_loss_of_a_criterion_is_that_of_training_images():
    training = dataclasses.replace(TRAINING, encoder=with_options(ENCODERS, "mlp", widths=(10,)), num_seeds=1)
    config = studied(training=plain_config(training), chains={"x": Chain(criterion="snip", pruned="before_training")})
    experiment = build_experiment(training)
    state, key = initial_states(experiment)[0], jax.random.key(3)
    pruner = build_pruner(config, config.chains["x"], experiment, state.carried)
    network = experiment.context.network(state.params, state.model_state)
    found = pruner.before_training(network, 0.5, key)
    images, labels = pruning_batches(experiment, config.pruning_examples, stream(key, "examples"))
    assert images.shape[:2] == labels.shape == (3, 20)  # all 60 images in batches of 20

    def loss(params):
        logits = network.replace(params=params).apply(images.reshape(-1, *images.shape[2:]))[0].logits
        return losses.softmax_cross_entropy_with_labels(logits, labels.ravel())

    scores = jax.tree.map(lambda w, g: np.abs(w * g), state.params, jax.grad(loss)(state.params))
    leaves, masks = named_leaves(scores), named_leaves(found)
    kernels = [name for name, may in named_leaves(prunable("kernels", state.params)).items() if may]
    kept = np.concatenate([leaves[n][masks[n]] for n in kernels])
    gone = np.concatenate([leaves[n][~np.asarray(masks[n])] for n in kernels])
    assert kept.min() >= gone.max() * (1 - 1e-4)


@pytest.mark.slow
def test_fine_tuning_goes_on_with_the_last_weights_and_learning_rate(tmp_path):
    one = {**plain_config(TRAINING), "num_seeds": 1, "duration": "3 steps"}
    one["optimiser"] = {
        **one["optimiser"],
        "learning_rate": "multi_step(start=0.1, milestones=('1 steps',), factor=0.0)",
    }
    chains = {"tuned": Chain(rewinding="none"), "rewound": Chain(rewinding="learning_rate")}
    study = "instability(num_points=3)"
    config = studied(training=one, chains=chains, studies=(study,), studied_rounds=(1,))
    tuned, rewound = run_lottery(config, tmp_path)["studies"][study]["entries"]
    # So does training it again, which has the learning rate of the round.
    assert len(set(tuned["supervised_loss"]["values"][0])) == 1 < len(set(rewound["supervised_loss"]["values"][0]))
    for name in chains:
        last = ends(tmp_path / "rounds" / "tuned" / "00", (0,))[0]["params"]  # the dense network of both
        begun, ended = (ends(tmp_path / "rounds" / name / "01", (0,), step)[0] for step in (0, None))
        assert equal(begun["params"], jax.tree.map(lambda m, p: np.where(m, p, 0), begun["mask"], last))
        # The learning rate ended at zero, so fine-tuning changes nothing, and going back with it does.
        assert equal(ended["params"], begun["params"]) == (name == "tuned")


def test_pruned_filters_are_removed_without_a_difference(tmp_path):
    chains = {"filters": Chain(structure="filters"), "two of four": Chain(structure="n_of_m(m=4)")}
    one = {**SHORT, "num_seeds": 1}
    config = studied(training=one, chains=chains, prunable="kernels_but_output", studies=("removal(repeats=2)",))
    results = run_lottery(config, tmp_path)
    entries = results["studies"]["removal(repeats=2)"]["entries"]
    for entry in entries:
        assert entry["largest_difference"] < 1e-5
        assert entry["milliseconds"] > 0
        if (entry["chain"], entry["round"]) == ("filters", 1):
            # 64 x 10 weights and 10 biases, scales and shifts; a head of 10 x 5 and 5: half of the units are gone.
            assert entry["parameters"] == 640 + 30 + 55
            assert entry["parameters_after_removal"] == 320 + 15 + 30
    masks = [ends(tmp_path / "rounds" / "two_of_four" / "01", (0,), 0)[0]["mask"]]
    groups = np.asarray(masks[0]["encoder"]["linear1"]["kernel"]).reshape(-1, 4, 10)
    assert np.all(groups.sum(1) == 2)
    assert is_nested(masks[0], full_mask(masks[0]))


@pytest.mark.slow
def test_killed_inside_a_study_it_goes_on_to_the_same_numbers(finished, tmp_path, monkeypatch):
    _, results = finished
    config = studied(studies=("random_mask", "instability(num_points=3)"))

    class Killed(Exception):
        pass

    real, calls = module.run_experiment, []

    def killed_in_the_last_round_of_each_study(config, folder, say, experiment):
        calls.append(folder)
        if "studies" in folder.parts and folder.name == "01" and calls.count(folder) == 1:
            raise Killed  # its start is written already
        return real(config, folder, say, experiment)

    monkeypatch.setattr(module, "run_experiment", killed_in_the_last_round_of_each_study)
    for _ in config.studies:
        with pytest.raises(Killed):
            run_lottery(config, tmp_path)
        assert not (tmp_path / "results.json").exists()
    again = run_lottery(config, tmp_path)
    for name in config.studies:
        assert json.loads(json.dumps(again["studies"][name])) == json.loads(json.dumps(results["studies"][name]))


@pytest.mark.slow
def test_a_study_that_names_nothing_draws_nothing(finished, tmp_path):
    _, results = finished
    written = write_lottery_figures(tmp_path, {**results, "studies": {}})
    assert {path.stem for path in written} == {"accuracy", "layers", "training"}
