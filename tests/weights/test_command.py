"""The command: from a file to a checkpoint that references read, and from a checkpoint to a file with its card."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from small_experiments import same_bits
from tiny_runs import CONVNET, PROJECTOR, config_of

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import Network, Pixels, attach_head, create_encoder, create_head
from repcon_jax.run.execute import run_experiment
from repcon_jax.run.networks import load_network
from repcon_jax.run.references import expand, load_reference
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.run import run_study
from repcon_jax.weights import export_tensors, read_tensors, write_tensors
from repcon_jax.weights.__main__ import main

SMALL = {"width": 0.125, "blocks": (1, 1), "convolution": "xla"}
OPTIONS = ["--option", "width=0.125", "--option", "blocks=(1, 1)", "--option", "convolution=xla"]
RESNET = {"name": "resnet18", **SMALL}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A state dict of torchvision's names, and the network that it is of."""
    model = attach_head(create_encoder("resnet18", **SMALL), create_head("linear", num_classes=5))
    network = Network(*jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3))), model)
    path = tmp_path_factory.mktemp("files") / "resnet18.safetensors"
    write_tensors(path, export_tensors(network), {})
    return path, network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The work directory of a run of two steps."""
    workdir = tmp_path_factory.mktemp("run") / "tiny"
    supervised = {"head": {"name": "linear"}, "objective": {"name": "supervised"}, "evaluate": True}
    run_experiment(config_of(encoder=RESNET, **supervised, duration="2 steps"), workdir)
    return workdir


def succeed(capsys, *words):
    """The last line that the command prints."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out.strip().splitlines()[-1]


def fail(capsys, *words):
    """The one sentence with which the command is refused."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith(".\n")
    return captured.err


def test_an_imported_network_is_a_reference(file, tmp_path, capsys):
    path, network = file
    reference = succeed(capsys, "import", path, tmp_path / "run", "--encoder", "resnet18", *OPTIONS)
    assert reference == str(tmp_path / "run" / "checkpoints" / "weights" / "0")
    assert expand(reference, {}) == [reference]
    loaded = load_reference(reference, tmp_path, {}).network
    assert loaded.model == network.model
    assert same_bits((loaded.params, loaded.model_state), (network.params, network.model_state))
    assert loaded.pixels == Pixels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (32, 32))
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "Imported from `resnet18.safetensors` (SHA-256 " in card
    assert "license: unknown" in card
    assert "| pixels.size | (32, 32) |" in card
    # What is exported again says where it was from.
    succeed(capsys, "export", reference, tmp_path / "again.safetensors", "--format", "timm", "--licence", "mit")
    again = (tmp_path / "MODEL_CARD.md").read_text()
    assert "Imported from `resnet18.safetensors` (SHA-256 " in again
    assert "license: mit" in again
    assert "| imported | `python -m repcon_jax.weights import " in again
    assert "| exported | `python -m repcon_jax.weights export " in again


def test_a_study_measures_imported_networks(file, tmp_path, capsys):
    reference = succeed(capsys, "import", file[0], tmp_path / "run", "--encoder", "resnet18", *OPTIONS)
    digits = DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 8}, subset=60)
    study = StudyConfig(
        title="imported",
        runs={},
        networks={"imported": reference},
        targets={"digits": digits},
        measurements={"probe": "probe(probe='knn(neighbours=3)')"},
        test_examples=40,
        figures=False,
    )
    results = run_study(study, tmp_path / "study")
    (mean,) = results["means"]
    assert mean["networks"] == ["imported"]
    assert np.isfinite(mean["mean"])


def test_an_imported_network_teaches(file, tmp_path, capsys):
    reference = succeed(capsys, "import", file[0], tmp_path / "run", "--encoder", "resnet18", *OPTIONS)
    objective = {"name": "distillation", "start": "independent", "teacher_start": "checkpoint"}
    objective |= {"teacher_checkpoint": reference}
    student = config_of(encoder=CONVNET, head={**PROJECTOR, "output_size": 5}, objective=objective)
    results = run_experiment(student, tmp_path / "student")
    assert np.isfinite(results["train"]["kl"]["mean"])


def test_pixels_head_and_names_can_be_said(file, tmp_path, capsys):
    prefixed = {f"module.{name}": tensor for name, tensor in read_tensors(file[0]).items()}
    np.savez(tmp_path / "a.npz", **prefixed, extra=np.zeros(2))
    words = ["--prefix", "module.", "--mean", "0.5", "0.5", "0.5", "--std", "0.5", "0.5", "0.5", "--size", "48"]
    words += ["--encoder-only", "--licence", "apache-2.0", "--format", "timm", "--encoder", "resnet18", *OPTIONS]
    network = load_network(succeed(capsys, "import", tmp_path / "a.npz", tmp_path / "run", *words))
    assert network.pixels == Pixels((0.5,) * 3, (0.5,) * 3, (48, 48))
    assert network.model.part("head").origin.name == "identity"
    assert "license: apache-2.0" in (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert succeed(capsys, "show", tmp_path / "a.npz", "--ignore", "^module") == "1 tensors, 2 numbers"


@pytest.mark.parametrize("format", ["torchvision", "repcon_jax"])
def test_a_run_is_exported_with_its_card_and_read_again_without_options(run, tmp_path, capsys, format):
    checkpoint, place = run / "checkpoints" / "seed_0" / "2", tmp_path / "weights" / "tiny.safetensors"
    succeed(capsys, "export", checkpoint, place, "--format", format)
    again = load_network(succeed(capsys, "import", place, tmp_path / "again"))
    network = load_network(str(checkpoint))
    assert same_bits((again.params, again.model_state), (network.params, network.model_state))
    assert (again.model, again.pixels) == (network.model, network.pixels)
    card = (place.parent / "MODEL_CARD.md").read_text()
    result = json.loads((run / "members" / "seed_0.json").read_text())
    assert f"| test.accuracy | {result['test']['accuracy']} |" in card
    assert "- digits: look up its licence" in card
    assert json.loads(card.split("```json\n")[1].split("\n```")[0]) == json.loads((run / "config.json").read_text())
    assert f"export {checkpoint} {place} --format {format}`" in card


def test_a_run_is_exported_as_a_plain_orbax_tree(run, tmp_path, capsys):
    checkpoint, place = run / "checkpoints" / "seed_0" / "2", tmp_path / "tiny"
    succeed(capsys, "export", checkpoint, place, "--format", "orbax")
    network = load_network(str(checkpoint))
    with ocp.StandardCheckpointer() as checkpointer:
        tree = checkpointer.restore(place.absolute() / "weights")
    assert same_bits(tree["params"], network.params)
    assert same_bits(tree["model_state"]["encoder"], network.model_state["encoder"])
    assert json.loads((place / "network.json").read_text())["data"] == ["digits"]
    assert (place / "MODEL_CARD.md").exists()


def test_nothing_is_written_over_nor_where_something_is_wrong(file, run, tmp_path, capsys):
    path, target = file[0], tmp_path / "run"
    words = ["--encoder", "resnet18", *OPTIONS]
    assert "'layer2.0." in fail(capsys, "import", path, target, *words, "--ignore", "^layer2")
    assert not target.exists()
    succeed(capsys, "import", path, target, "--encoder", "resnet18", *OPTIONS)
    assert "exists already; move it away" in fail(capsys, "import", path, target, "--encoder", "resnet18", *OPTIONS)
    checkpoint = run / "checkpoints" / "seed_0" / "2"
    place = tmp_path / "a.safetensors"
    assert "format is 'tim', which has no resnet18" in fail(capsys, "export", checkpoint, place, "--format", "tim")
    assert not place.exists()
    assert not (tmp_path / "MODEL_CARD.md").exists()
    succeed(capsys, "export", checkpoint, place, "--format", "timm", "--encoder-only")
    assert "fc.weight" not in read_tensors(place)
    other = tmp_path / "b.safetensors"
    assert "MODEL_CARD.md exists already" in fail(capsys, "export", checkpoint, other, "--format", "timm")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "encoder is not given and"),
        (["--encoder", "resnet18", "--option", "width"], "option is 'width' but must be NAME=VALUE"),
        (["--encoder", "resnet18", "--option", "width=-1.0"], "correct --option width."),
        (["--encoder", "resnet18", "--std", "1.0"], "std has 1 values but the mean 3; give as many."),
        (["--encoder", "vgg11"], "file has no names of vgg11 in the formats torchvision but such as bn1.bias"),
        (["--encoder", "resnet18"], "has the shape (8, 8, 3, 3) but must have (64, 64, 3, 3); give"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(file, tmp_path, capsys, words, message):
    assert message in fail(capsys, "import", file[0], tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()
