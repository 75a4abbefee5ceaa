"""Networks of checkpoints: rebuilt without a config, taken as teachers of others, with heads by name."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiments import same_bits
from tiny_runs import (
    CONVNET,
    DIGITS,
    FROZEN_BACKBONE,
    LORA,
    PROJECTOR,
    SCENES,
    TWO_HEADS,
    advance,
    checkpoint_of,
    config_of,
    first_state,
    group_of,
)

from repcon_jax.data import load
from repcon_jax.errors import CheckpointError, ConfigError, UserError
from repcon_jax.models import create_head
from repcon_jax.probing import extract_features, run_probes
from repcon_jax.random import stream
from repcon_jax.records.metrics_log import read_metrics
from repcon_jax.run.config import parse_config, plain_config
from repcon_jax.run.execute import run_experiment
from repcon_jax.run.experiment import build_experiment
from repcon_jax.run.networks import load_network, pixels_of
from repcon_jax.run.prober import Prober
from repcon_jax.training.checkpoints import read_network
from repcon_jax.trees import signature

EXPERT = config_of(data=SCENES, encoder=CONVNET)
IMAGES = jnp.asarray(load("digits", image_size=8).images[:5])


def assert_same_network(network, expected):
    """Also where only one of the two scales images to the size that it was trained with."""
    assert network.model == expected.model
    assert (network.pixels.mean, network.pixels.std) == (expected.pixels.mean, expected.pixels.std)
    assert jax.tree.structure(network.params) == jax.tree.structure(expected.params)
    assert same_bits((network.params, network.model_state), (expected.params, expected.model_state))
    images = jax.random.uniform(jax.random.key(0), (3, *network.pixels.size, network.pixels.channels))
    assert same_bits(network.apply(images)[0], expected.apply(images)[0])


@pytest.fixture(scope="module")
def expert(tmp_path_factory):
    """The checkpoint of a network of another architecture, image size and statistics, and the network."""
    path, networks = checkpoint_of(tmp_path_factory.mktemp("expert"), EXPERT, 7)
    network = networks["params"]
    return path, network.replace(pixels=dataclasses.replace(network.pixels, size=(32, 32)))


def taught_by(path, **options):
    objective = {"name": "distillation", "start": "independent", "teacher_start": "checkpoint"}
    return {"objective": {**objective, "teacher_checkpoint": path, **options}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"encoder": CONVNET, "data": {**DIGITS, "image_size": 12, "rgb": True}},
        {"adapter": LORA},
        {"head": {"name": "linear"}, "objective": {"name": "supervised"}},
        TWO_HEADS,
    ],
    ids=["plain", "other size", "adapter", "supervised", "heads"],
)
def test_every_network_of_a_checkpoint_is_rebuilt_without_its_config(tmp_path, changes):
    path, networks = checkpoint_of(tmp_path, config_of(**changes))
    for part in networks.keys() - {"centre"}:
        assert_same_network(load_network(path, part), networks[part])


def test_teacher_and_student_of_two_architectures_lie_in_one_checkpoint(tmp_path, expert):
    path, teacher = expert
    own, networks = checkpoint_of(tmp_path, config_of(**taught_by(path)))
    assert_same_network(load_network(own, "teacher"), teacher)
    assert_same_network(load_network(own), networks["params"])
    assert networks["params"].pixels.mean != teacher.pixels.mean
    sizes = [network.apply(IMAGES)[0].embedding.shape[-1] for network in (networks["params"], teacher)]
    assert sizes[0] != sizes[1]


def test_a_teacher_of_another_architecture_teaches_and_stays_as_it_is(expert):
    path, teacher = expert
    config = config_of(**taught_by(path), optimiser={"name": "sgd", "learning_rate": 0.5, "momentum": 0.9})
    experiment = build_experiment(config)
    state, metrics, program = advance(experiment, 6)
    member = program.member(state, 0, 0)
    assert_same_network(experiment.networks(member)["teacher"], teacher)
    assert metrics["kl"][0, 0, -1] < metrics["kl"][0, 0, 0]
    # What was remembered of every image is what the teacher makes of it, scaled to its own size.
    members = experiment.members(group_of(experiment))
    remembered = program.remembered(program.initial_state(members), members)[0]
    expected = teacher.encoder.apply(experiment.recipe.data.images)[0]
    np.testing.assert_allclose(remembered, expected, rtol=1e-4, atol=1e-5)


def test_a_teacher_of_another_size_and_channels_is_probed_on_other_data(tmp_path):
    path, _ = checkpoint_of(tmp_path, config_of(encoder=CONVNET))  # of 8x8 grey images
    probe = {"probes": ("knn(neighbours=3)",), "during": "none", "data": "digits"}
    data = {**SCENES, "image_size": 16}
    experiment = build_experiment(config_of(**taught_by(path), data=data, probe=probe))
    state, splits = first_state(experiment), experiment.probe_splits
    scores = Prober(experiment).final(0, state, lambda: False)
    assert scores.keys() == {"input", "teacher", "student"}
    # The student sees them with their own statistics, the teacher as what it knows.
    student, teacher = (experiment.networks(state)[name].encoder for name in ("student", "teacher"))
    student = student.replace(pixels=pixels_of(splits))
    for name, encoder in (("student", student), ("teacher", teacher)):
        fit, test = (extract_features(encoder, part.images) for part in (splits.train, splits.test))
        key = stream(jax.random.key(0), "probe")
        arguments = (fit, splits.train.labels, test, splits.test.labels, splits.train.num_classes, key)
        expected = run_probes(probe["probes"], *arguments, None)
        assert scores[name] == expected


def refused(**changes):
    """The one sentence with which a config is refused."""
    with pytest.raises(CheckpointError) as refusal:
        build_experiment(config_of(**changes))
    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_teachers_that_do_not_fit_are_refused_in_one_sentence(tmp_path, expert):
    path, _ = expert
    sentence = refused(**taught_by(path), head={**PROJECTOR, "output_size": 6})
    assert sentence.startswith(f"the network 'params' of checkpoint {path} has 5 outputs but its student 6; give")
    for options in ({"start": "interpolated"}, {"teacher_update": "ema"}, {"teacher_batch_norm": "from_student"}):
        assert "where this config needs" in refused(**taught_by(path, **options))
    several, _ = checkpoint_of(tmp_path, config_of(**TWO_HEADS))
    assert "has several heads but a teacher has one; take another." in refused(**taught_by(several))


def test_a_checkpoint_that_says_nothing_of_its_networks_is_read_with_the_config_beside_it(tmp_path):
    config = config_of(encoder={"name": "mlp", "widths": (8,), "normalisation": "batch"})
    folder = tmp_path / "checkpoints" / "seed_0"
    _, networks = checkpoint_of(folder, config)
    about = next(path for path in (folder / "0" / "about").iterdir() if path.name == "metadata")
    about.write_text(json.dumps(json.loads(about.read_text()) | {"networks": {}}))
    (tmp_path / "config.json").write_text(json.dumps(plain_config(config)))
    for part in ("params", "teacher"):
        assert read_network(str(folder / "0"), part)[2] is None
        network = load_network(str(folder / "0"), part)
        assert same_bits(network.apply(IMAGES)[0], networks[part].apply(IMAGES)[0])


def test_a_network_is_loaded_for_every_named_teacher_and_its_head_counts_its_outputs(expert):
    path, teacher = expert
    changes = {**TWO_HEADS, "heads": {"own": {"name": "linear"}, "expert": {"name": "linear"}}, "sources": {}}
    experiment = build_experiment(config_of(**changes, teachers={"expert": {"checkpoint": path}}))
    assert_same_network(experiment.context.teachers["expert"], teacher)
    logits = experiment.networks(first_state(experiment))["encoder"].apply(IMAGES)[0].logits
    assert {name: values.shape for name, values in logits.items()} == {"own": (5, 10), "expert": (5, 5)}


def heads_of(**heads):
    changes = {**TWO_HEADS, "heads": heads, "sources": {}}
    experiment = build_experiment(config_of(**changes))
    return first_state(experiment).params


def test_heads_are_drawn_by_name_whatever_others_there_are():
    linear = {"name": "linear"}
    alone, both, turned = heads_of(own=linear), heads_of(own=linear, other=linear), heads_of(other=linear, own=linear)
    assert same_bits(both, turned)
    assert same_bits(alone["head"]["own"], both["head"]["own"])
    assert same_bits(alone["encoder"], both["encoder"])
    assert not same_bits(both["head"]["own"], both["head"]["other"])
    sizes = heads_of(own=linear, other={"name": "linear", "num_classes": 3, "bias": False})["head"]
    assert signature(sizes) == {
        "other/output/kernel": [[8, 3], "float32"],
        "own/output/bias": [[10], "float32"],
        "own/output/kernel": [[8, 10], "float32"],
    }


def test_one_head_of_a_model_of_several_computes_what_it_does_alone():
    experiment = build_experiment(config_of(**TWO_HEADS))
    state = first_state(experiment)
    outputs, _ = experiment.networks(state)["encoder"].apply(IMAGES)
    head = create_head("linear", num_classes=10)
    for name in ("own", "scenes"):
        logits, _ = head.apply(state.params["head"][name], {}, outputs.embedding)
        np.testing.assert_allclose(outputs.logits[name], logits, rtol=1e-6)


def test_an_objective_of_two_heads_trains_both():
    experiment = build_experiment(config_of(**TWO_HEADS, optimiser={"name": "adam", "learning_rate": 0.02}))
    begin = first_state(experiment)
    state, metrics, program = advance(experiment, 6)
    member = program.member(state, 0, 0)
    for name in ("own", "scenes"):
        assert metrics[name][0, 0, -1] < metrics[name][0, 0, 0]
        assert not same_bits(member.params["head"][name], begin.params["head"][name])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"head": None}, ConfigError, "head and heads are neither given"),
        ({"heads": {"own": {"name": "linear"}}}, ConfigError, "head and heads are both given"),
        ({**TWO_HEADS, "objective": {"name": "supervised"}}, ConfigError, "objective 'supervised' takes one head but"),
        ({**TWO_HEADS, "objective": {"name": "distillation"}}, ConfigError, "objective 'distillation' takes one head"),
        ({**TWO_HEADS, "batch_size": 44}, ConfigError, "sources.scenes has 40 training examples but batch_size is 44"),
        ({"teachers": {"a": {"checkpoint": "nowhere"}}}, CheckpointError, "'nowhere' is no checkpoint; give a folder"),
        (
            {"adapter": {**LORA, "kernels": "nothing"}},
            ConfigError,
            r"adapter\.kernels is 'nothing', which finds none of",
        ),
        (
            {"adapter": {**LORA, "kernels": "("}},
            ConfigError,
            r"adapter\.kernels is '\(', which is no regular expression",
        ),
        ({"adapter": {**LORA, "rank": 0}}, ConfigError, r"adapter\.rank is 0 but must lie in \[1"),
        ({"adapter": {"name": "lorra"}}, ConfigError, "did you mean 'lora'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changes, error, message):
    with pytest.raises(error, match=message) as refusal:
        build_experiment(config_of(**changes))
    assert str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)


def test_a_config_with_heads_sources_teachers_and_adapter_survives_json(expert):
    config = config_of(**TWO_HEADS, teachers={"expert": {"checkpoint": expert[0]}}, adapter=LORA)
    again = parse_config(json.loads(json.dumps(plain_config(config))))
    assert plain_config(again) == plain_config(config)
    assert again.sources["scenes"] == config.sources["scenes"]


@pytest.mark.parametrize(
    "changes",
    [TWO_HEADS, {"adapter": LORA, "optimiser": {"name": "adamw", "rules": FROZEN_BACKBONE}}],
    ids=["sources", "frozen"],
)
def test_stopped_and_resumed_is_uninterrupted_to_the_bit(tmp_path, changes):
    config = config_of(**changes, checkpoint={"every": "4 steps", "keep": ("4 steps",)})
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run_experiment(config, whole)
    shutil.copytree(whole, resumed)
    # What a kill after the checkpoint of step 4, in the middle of an epoch, leaves.
    shutil.rmtree(resumed / "checkpoints" / "seed_0" / "12")
    (resumed / "members" / "seed_0.json").unlink()
    (resumed / "results.json").unlink()
    run_experiment(config, resumed)
    ends = [read_network(str(folder / "checkpoints" / "seed_0" / "12"))[:2] for folder in (whole, resumed)]
    assert same_bits(*ends)
    assert read_metrics(whole) == read_metrics(resumed)
    assert (whole / "results.json").read_bytes() == (resumed / "results.json").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": {"own": {"name": "linaer"}}}, r"heads\.own\.name is 'linaer', which does not exist; did you mean"),
        (
            {"heads": {"own": {"name": "linear", "num_classes": 0}}},
            r"heads\.own\.num_classes is 0 .* correct --config\.heads\.own\.num_classes\.",
        ),
        ({"heads": {"a/b": {"name": "linear"}}}, "heads has the name 'a/b' but names consist of letters"),
        ({"teachers": {"own": {"checkpoint": "/nowhere/3"}}}, r"teachers\.own: '/nowhere/3' is no checkpoint"),
        ({"teachers": {"params": {"checkpoint": "/nowhere/3"}}}, "teachers has the name 'params', which checkpoints"),
        ({"sources": {"own": {"name": "digitz"}}}, r"sources\.own: data set 'digitz' does not exist"),
    ],
)
def test_what_is_wrong_with_a_named_part_is_said_of_its_field(changes, message):
    with pytest.raises(UserError, match=message):
        build_experiment(config_of(head=None, **{"heads": {"own": {"name": "linear"}}, **changes}))
