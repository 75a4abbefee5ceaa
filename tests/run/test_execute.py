"""A run as a user sees it: what it writes, how it stops and goes on, and what bad input gets."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from repcon_jax.__main__ import main
from repcon_jax.training.checkpoints import Checkpoints, tree_digest

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "random_teacher.py")
TINY = [
    f"--config={CONFIG}:digits,mlp",
    "--config.data.options.image_size=8",
    "--config.data.subset=200",
    "--config.encoder.widths=(16,8)",
    "--config.head.hidden_sizes=(16,)",
    "--config.head.output_size=32",
    "--config.batch_size=16",
    "--config.duration=60 steps",
    "--config.log_every=5 steps",
    "--config.probe.every=30 steps",
    "--config.probe.probes=('linear(epochs=2)','knn')",
    "--config.checkpoint.every=10 steps",
    "--config.objective.locality=0.5",
]


def command(workdir, *extra):
    # Programs of their own: what a killed process was writing must not be read by other tests.
    place = f"--compilation_cache={workdir.parent / 'programs'}"
    return [sys.executable, "-m", "repcon_jax", *TINY, place, f"--workdir={workdir}", *extra]


def run(workdir, *extra):
    return main([*TINY, f"--workdir={workdir}", *extra])


def final_params(workdir, seed=0):
    checkpoints = Checkpoints(workdir / "checkpoints" / f"seed_{seed}", read_only=True)
    params = checkpoints.restore_parts(checkpoints.steps()[-1], ("params", "model_state", "carried"))
    checkpoints.close()
    return params


def rows(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run") / "finished"
    assert run(workdir, "--config.num_seeds=2") == 0
    return workdir


@pytest.mark.slow
def test_a_run_writes_everything_that_the_readme_promises(finished):
    for name in ("config.json", "environment.json", "metrics.jsonl", "results.json", "report.md", "checkpoints"):
        assert (finished / name).exists(), name
    assert list((finished / "tensorboard" / "seed_0").glob("events*"))
    assert {p.name for p in (finished / "figures").glob("*.png")} == {"probing.png", "objective.png", "distance.png"}
    environment = json.loads((finished / "environment.json").read_text())
    assert {"python", "packages", "devices", "commit", "starts"} <= environment.keys()
    report = (finished / "report.md").read_text()
    assert all(f"figures/{name}.png" in report for name in ("probing", "objective", "distance"))


@pytest.mark.slow
def test_results_hold_mean_spread_and_values_over_seeds(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["seeds"] == [0, 1]
    for encoder in ("input", "teacher", "student"):
        for probe in ("linear(epochs=2)", "knn"):
            score = results["probe"][encoder][probe]
            assert 0 <= score["mean"] <= 1
            assert score["mean"] == pytest.approx(np.mean(score["values"]))
            assert score["std"] == pytest.approx(np.std(score["values"], ddof=1))
    assert results["kl"]["mean"] > 0
    logged = [r["kl"] for r in rows(finished) if r["kind"] == "train" and "kl" in r]
    assert min(logged) <= results["kl"]["mean"] <= max(logged)


@pytest.mark.slow
def test_rows_are_logged_once_in_order_and_start_at_the_start(finished):
    for seed in (0, 1):
        train = [r for r in rows(finished) if r["seed"] == seed and r["kind"] == "train"]
        assert [r["step"] for r in train] == list(range(0, 61, 5))
        assert {row["density"] for row in train} == {1.0}
        assert train[0]["encoder_distance_from_start"] == 0 < train[-1]["encoder_distance_from_start"]
        assert [r["step"] for r in rows(finished) if r["seed"] == seed and r["kind"] == "probe"] == [0, 30, 60]
    assert tree_digest(final_params(finished, 0)) != tree_digest(final_params(finished, 1))


@pytest.mark.slow
def test_the_config_it_writes_is_the_config_again(finished, tmp_path, capsys):
    from repcon_jax.run.config import parse_config
    from repcon_jax.run.execute import run_experiment

    config = parse_config(json.loads((finished / "config.json").read_text()))
    before = (finished / "results.json").read_bytes()
    run_experiment(config, finished)
    assert "complete" in capsys.readouterr().out
    assert (finished / "results.json").read_bytes() == before


def wait_for_step(process, workdir, step):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if (workdir / "metrics.jsonl").exists() and f'"step": {step},' in (workdir / "metrics.jsonl").read_text():
            return
        time.sleep(0.02)
    raise AssertionError(process.communicate()[1])


LONG = ("--config.duration=160 steps", "--config.probe.every=40 steps", "--config.checkpoint.every=20 steps")


def start(workdir, as_users_run):
    """A process of its own, compiled as users run it or as quickly as the other tests."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if as_users_run:
        environment |= {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
    return subprocess.Popen(command(workdir, *LONG), stderr=subprocess.PIPE, text=True, env=environment)


def end_of(process):
    _, errors = process.communicate(timeout=240)
    return process.returncode, errors


def left_alone(folder, as_users_run):
    """The work directory of a run that was left alone, beside the programs that it compiled."""
    code, errors = end_of(start(folder / "whole", as_users_run))
    assert code == 0, errors
    return folder / "whole"


KILLED, TERMINATED, INTERRUPTED = (signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("as_users_run", "stops"),
    [(True, [(KILLED, 65)]), (False, [(KILLED, 0), (TERMINATED, 45), (INTERRUPTED, 105)])],
)
def test_killed_and_resumed_is_uninterrupted_to_the_byte(tmp_path, as_users_run, stops):
    whole, workdir = left_alone(tmp_path, as_users_run), tmp_path / "run"
    for (number, code), step in stops:
        process = start(workdir, as_users_run)
        wait_for_step(process, workdir, step)
        process.send_signal(number)
        ended_with, errors = end_of(process)
        assert ended_with == code, errors
        assert not (workdir / "results.json").exists()
        if number != signal.SIGKILL:
            assert "Stopped and saved; the same command goes on from here" in errors
            assert "Traceback" not in errors

    ended_with, errors = end_of(start(workdir, as_users_run))
    assert ended_with == 0, errors
    assert tree_digest(final_params(workdir)) == tree_digest(final_params(whole))
    assert (workdir / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    assert rows(workdir) == rows(whole)


def refused(capsys, arguments):
    """The one sentence that an unacceptable command gets."""
    assert main(arguments) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("error: ")
    assert sentence.count("\n") == 1
    return sentence


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--config.sed=1"], "config has no field 'sed'; did you mean 'seed'?"),
        (["--config.data.subst=1"], "config has no field 'data.subst'; did you mean 'subset'?"),
        (["--config.encoder.width=1"], "config has no field 'encoder.width'; did you mean 'widths'?"),
        (["--config.seed=one"], "seed is 'one' (str) but must be int; correct --config.seed"),
        (["--config.seed=-1"], "seed is -1 but must lie in [0,"),
        (["--config.batch_size=1000"], "batch_size is 1000 but must lie in [1, 200]"),
        (["--config.objective.locality=2.0"], "objective.locality is 2.0 but must lie in [0, 1]"),
        (["--config.objective.name=distilation"], "did you mean 'distillation'?"),
        (["--config.optimiser.name=adm"], "optimiser.name is 'adm' (str) but must be one of 'sgd', 'adam', 'adamw'"),
        (["--config.optimiser.learning_rate=cosin()"], "did you mean 'cosine'?"),
        (["--config.duration=soon"], "duration is 'soon' but must be a number and one of steps"),
        (["--config.duration=0 steps"], "0 steps, but must be at least one"),
        (["--config.probe.probes=('kn',)"], "did you mean 'knn'?"),
        (["--config.data.name=digts"], "did you mean 'digits'?"),
        (["--config.data.global_augment=flop"], "did you mean 'flip'?"),
        (["--config.data=1"], "--config.data is a group of fields"),
        (["--config.data.options={}"], "is a group of fields"),
        (["--config.data.options.size=3"], "is not an option of 'digits'"),
        (["--config.data.holdout=0"], "data.holdout is 0, which leaves no validation part"),
        (["--config.data.subset=16"], "needs 20 training examples, but there are 14"),
        (["--config.probe.train_size=5"], "needs 20 training examples, but there are 5"),
        (["--config.probe.probes=('knn(neighbours=0)',)"], "probe.probes has 'knn(neighbours=0)'"),
        (["--config.probe.probes=('knn','knn')"], "may name a probe only once"),
        (["--config.probe.every=0 steps"], "probe.every is '0 steps', which is 0 steps"),
        (["--config.checkpoint.keep=('x',)"], "checkpoint.keep is 'x' but must be a number and one of steps"),
        (["--config.checkpoint.keep=('99 epochs',)"], "but the run ends at 60"),
        (["--config.duration=1e999 steps"], "must be finite"),
        (["--config.data.global_augment=random_resized_crop(size=4)"], "has other parameters for images of (8, 8, 1)"),
        (["--config.objective.teacher_momentum=2.0"], "objective.teacher_momentum is 2.0 but must lie in [0, 1]"),
        (["--config.objective.teacher_temperature=constant(value=0.0)"], "objective.teacher_temperature is 0.0"),
        (["--config.objective.restart_every=soon"], "objective.restart_every is 'soon'"),
        (
            ["--config.optimiser.learning_rate=fast"],
            "optimiser.learning_rate has 'fast': schedule.name is 'fast', which does not exist",
        ),
        (["--config.optimiser.learning_rate=1e999"], "must be finite"),
        (["--config.optimiser.rules=(('.*','set(frozen=3)'),)"], "optimiser.rules: frozen is 3 (int) but must be str"),
        (["--confg=x"], "argument '--confg' does not exist; did you mean '--config'?"),
        (["stray"], "argument 'stray' does not exist"),
        (["--config.seed"], "--config.seed has no value"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_no_trace(tmp_path, capsys, extra, message):
    assert message in refused(capsys, [*TINY, f"--workdir={tmp_path / 'run'}", *extra])
    assert not (tmp_path / "run").exists()


def test_a_head_with_too_few_classes_is_refused(tmp_path, capsys):
    config = str(ROOT / "configs" / "supervised.py")
    arguments = [f"--config={config}:digits,mlp", f"--workdir={tmp_path / 'a'}", "--config.head.num_classes=3"]
    assert "gives 3 logits but the data has 10 classes; set --config.head.num_classes=10" in refused(capsys, arguments)


def test_a_work_directory_whose_run_never_began_takes_a_corrected_config(tmp_path, capsys):
    workdir = tmp_path / "run"
    missing = ["--config.objective.start=checkpoint", f"--config.objective.checkpoint={tmp_path / '7'}"]
    assert "is no checkpoint; give a folder" in refused(capsys, [*TINY, f"--workdir={workdir}", *missing])
    workdir.mkdir(exist_ok=True)
    (workdir / "config.json").write_text('{"seed": 99}')
    assert run(workdir, "--config.duration=2 steps", "--config.probe.probes=()") == 0


def test_two_processes_do_not_share_a_work_directory(tmp_path, capsys):
    from repcon_jax.records.workdir import locked

    workdir = tmp_path / "run"
    workdir.mkdir()
    with locked(workdir):
        assert "is in use by another process" in refused(capsys, [*TINY, f"--workdir={workdir}"])


def test_a_start_that_is_refused_leaves_the_config_of_one_that_has_just_begun(tmp_path, capsys):
    from repcon_jax.records.workdir import locked

    (tmp_path / "config.json").write_text('{"seed": 99}')
    before = (tmp_path / "config.json").read_bytes()
    with locked(tmp_path):
        assert "is in use by another process" in refused(capsys, [*TINY, f"--workdir={tmp_path}"])
    assert (tmp_path / "config.json").read_bytes() == before


def test_a_config_file_that_is_missing_or_broken(tmp_path, capsys):
    workdir = f"--workdir={tmp_path / 'run'}"
    assert "is no file" in refused(capsys, ["--config=configs/nothing.py", workdir])
    (tmp_path / "broken.py").write_text("def get_config(argument):\n    return 1 / 0\n")
    assert "does not run (ZeroDivisionError" in refused(capsys, [f"--config={tmp_path / 'broken.py'}", workdir])
    assert "--workdir is missing" in refused(capsys, TINY)
    assert "did you mean 'mnist'?" in refused(capsys, [f"--config={CONFIG}:mnst", workdir])


def test_an_encoder_that_does_not_fit_the_images(tmp_path, capsys):
    arguments = [
        f"--config={CONFIG}:digits,vgg11",
        "--config.data.options.image_size=16",
        f"--workdir={tmp_path / 'a'}",
    ]
    sentence = refused(capsys, arguments)
    assert "num_stages" in sentence
    assert "16" in sentence
    assert not (tmp_path / "a").exists()


def test_a_data_set_that_is_not_prepared_names_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("REPCON_CACHE_DIR", str(tmp_path / "cache"))
    arguments = [f"--config={CONFIG}:cifar10,mlp", f"--config.data.data_dir={tmp_path}", f"--workdir={tmp_path / 'a'}"]
    assert "python -m repcon_jax.data.prepare cifar10" in refused(capsys, arguments)


@pytest.mark.slow
def test_the_work_directory_of_another_config_is_refused_with_the_fields_named(finished, capsys):
    before = (finished / "config.json").read_bytes()
    sentence = refused(capsys, [*TINY, f"--workdir={finished}", "--config.num_seeds=2", "--config.seed=5"])
    assert "belongs to another config: seed differ" in sentence
    assert (finished / "config.json").read_bytes() == before


def test_a_folder_with_other_things_in_it_is_refused(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "holds 'thesis.tex' but no config.json" in refused(capsys, [*TINY, f"--workdir={tmp_path}"])
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(capsys, [*TINY, f"--workdir={tmp_path / 'file' / 'run'}"])


def test_a_truncated_checkpoint_is_refused_and_nothing_else_is_touched(tmp_path):
    workdir = tmp_path / "run"
    assert run(workdir) == 0
    (workdir / "results.json").unlink()
    (workdir / "members" / "seed_0.json").unlink()
    files = (workdir / "checkpoints" / "seed_0" / "60").rglob("*")
    largest = max((f for f in files if f.is_file()), key=lambda f: f.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])
    before = {p: p.read_bytes() for p in (workdir / "metrics.jsonl", workdir / "config.json")}
    # In a process of its own, because Orbax's threads would print past the captured stream.
    done = subprocess.run(command(workdir), capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert "60 is truncated, damaged or foreign; move that folder away" in done.stderr
    assert "Traceback" not in done.stderr
    assert all(p.read_bytes() == content for p, content in before.items())


def test_divergence_stops_keeps_the_last_good_checkpoint_and_names_the_step(tmp_path, capsys):
    workdir = tmp_path / "run"
    flags = ["--config.optimiser.learning_rate=multi_step(start=1e-3, milestones=('25 steps',), factor=1e30)"]
    assert run(workdir, *flags) == 1
    errors = capsys.readouterr().err
    assert "training stopped and the last good checkpoint is kept" in errors
    params = final_params(workdir)
    assert all(np.all(np.isfinite(leaf)) for leaf in __import__("jax").tree.leaves(params))
    assert Checkpoints(workdir / "checkpoints" / "seed_0", read_only=True).steps() == [0, 20]


def test_help_is_shown_without_waiting_for_jax():
    code = "import sys, repcon_jax.__main__ as m; code = m.main(['--help']); sys.exit(code or 'jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    assert "--workdir DIRECTORY" in done.stdout
