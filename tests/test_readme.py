"""Every command of the README is run, at a small size; its Python example as it stands."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from readme_commands import COMMANDS, EXPERIMENTS, README, WEIGHTS, blocks
from smoke import SHRINK

from repcon_jax.data import load
from repcon_jax.errors import DataError
from repcon_jax.models import Network, attach_head, create_encoder, create_head
from repcon_jax.run.command_line import read_hosts, read_values, split_start_flags
from repcon_jax.tasks import task_of
from repcon_jax.weights import export_tensors, read_tensors, write_tensors

ROOT = pathlib.Path(__file__).parents[1]
OTHERS = [line for line in COMMANDS if line not in EXPERIMENTS + WEIGHTS]


@pytest.mark.slow
@pytest.mark.parametrize("line", EXPERIMENTS)
def test_an_experiment_of_the_readme_runs(line, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = shlex.split(line)
    start, words = split_start_flags(words[words.index("repcon_jax") + 1 :])
    read_hosts(start)
    values, _ = read_values(words)
    task = task_of(values)
    needed = [("digits" if "digits" in line or "quickstart" in line else "cifar10", {})]
    needed += [(data["name"], data["options"]) for data in values.get("targets", {}).values()]
    for name, options in needed:
        try:
            load(name, **options)
        except DataError as error:
            pytest.skip(f"data set {name} is not at hand: {error}")
    config = task.parse(SHRINK[values.get("task", "training")](values))
    results = task.run(config, tmp_path / "run")
    assert results["kind"] if "task" in values else results["steps"] == 2
    assert task.table(results).startswith("|") or "No probes" in task.table(results)


@pytest.mark.slow
def test_weights_go_in_and_out_as_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    model = attach_head(create_encoder("resnet50", stem="imagenet"), create_head("linear", num_classes=1000))
    shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
    network = Network(*jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), shapes), model)
    write_tensors(pathlib.Path("resnet50.safetensors"), export_tensors(network, "torchvision"), {})
    assert len(WEIGHTS) == 3
    for line in WEIGHTS:
        words = shlex.split(line)
        command = [sys.executable, *words[words.index("-m") :]]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert not done.stderr
        assert done.stdout
    first, last = (read_tensors(pathlib.Path(folder, "resnet50.safetensors")) for folder in (".", "runs/exported"))
    assert {name: tensor.shape for name, tensor in first.items()} == {name: t.shape for name, t in last.items()}
    assert "| parameters | 25557032 |" in pathlib.Path("runs/exported/MODEL_CARD.md").read_text()


def test_the_two_commands_and_the_preparation_of_data_exist(capsys):
    prepare = ".venv/bin/python -m repcon_jax.data.prepare cifar10"
    assert ["make quickstart", "make test", prepare, "make bench"] == OTHERS
    runs = {"quickstart": "repcon_jax --config configs/quickstart.py", "test": "pytest", "bench": "benchmarks.run"}
    for target, program in runs.items():
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
        assert program in done.stdout
    from repcon_jax.data.prepare import main

    try:
        load("cifar10")
    except DataError as error:
        pytest.skip(f"data set cifar10 is not at hand: {error}")
    assert main(["cifar10"]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
def test_the_python_example_runs_and_a_copied_student_has_no_divergence(capsys):
    example, _ = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    printed = dict(re.findall(r"locality (\S+): KL (\S+)", capsys.readouterr().out))
    assert float(printed["0.0"]) == 0.0
    assert 0 < float(printed["0.5"]) < float(printed["1.0"])


@pytest.mark.slow
def test_matching_units_removes_the_barrier(capsys):
    exec(compile(blocks("python")[1], "README.md", "exec"), {})
    before, after = (float(height) for height in re.findall(r"barrier (\S+)", capsys.readouterr().out))
    assert before > 0.01
    assert after == 0


def test_the_links_and_the_pictures_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
    rooms = {
        room for line in re.findall(r"^\| (`.*?) \|", README, re.MULTILINE) for room in re.findall(r"`(\w+/)`", line)
    }
    folders = {f"{path.name}/" for path in (ROOT / "repcon_jax").iterdir() if (path / "__init__.py").exists()}
    assert folders <= rooms
