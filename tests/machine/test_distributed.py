"""Two real processes on one machine: they train one run together, say the same sentences, and never hang."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from test_population import MLP

import repcon_jax
from repcon_jax.__main__ import main
from repcon_jax.errors import ConfigError
from repcon_jax.machine.distributed import Hosts, call_roll, code_version
from repcon_jax.training.checkpoints import Checkpoints

ROOT = pathlib.Path(__file__).parents[2]
LONG = ["--config.duration=160 steps", "--config.checkpoint.every=24 steps", "--config.mesh.data=2"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(process_id, port, workdir, *extra, num_processes=2):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "repcon_jax", *MLP, f"--workdir={workdir}", "--compilation_cache=none"]
    command += [f"--coordinator=127.0.0.1:{port}", f"--num_processes={num_processes}", f"--process_id={process_id}"]
    return subprocess.Popen(
        [*command, *extra], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )


def start_pair(workdir, *extra):
    port = free_port()
    return [start(i, port, workdir, *extra) for i in range(2)]


def ends(processes, timeout=240):
    try:
        errors = [process.communicate(timeout=timeout)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], errors


def params_at_end(workdir):
    checkpoints = Checkpoints(workdir / "checkpoints" / "seed_0", read_only=True)
    found = checkpoints.restore_parts(checkpoints.steps()[-1], ("params",))
    checkpoints.close()
    return found


def wait_for_row(process, workdir, text):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if (workdir / "metrics.jsonl").exists() and text in (workdir / "metrics.jsonl").read_text():
            return
        time.sleep(0.05)
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_two_hosts_train_together_one_is_killed_and_the_pair_goes_on(tmp_path):
    pair = start_pair(tmp_path / "pair", *LONG)
    wait_for_row(pair[0], tmp_path / "pair", '"step": 48,')
    pair[1].send_signal(signal.SIGKILL)
    codes, errors = ends(pair)
    assert codes == [3, -9], errors[0][-3000:]
    assert "another host stopped or cannot be reached" in errors[0]
    assert not (tmp_path / "pair" / "results.json").exists()

    codes, errors = ends(start_pair(tmp_path / "pair", *LONG))
    assert codes == [0, 0], errors
    assert main([*MLP, f"--workdir={tmp_path / 'alone'}", *LONG[:2]]) == 0
    for a, b in zip(*(jax.tree.leaves(params_at_end(tmp_path / n)) for n in ("pair", "alone")), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-3)
    found = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("pair", "alone")]
    assert found[0]["test"]["kl"]["mean"] == pytest.approx(found[1]["test"]["kl"]["mean"], rel=0.05)
    rows = [json.loads(line) for line in (tmp_path / "pair" / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows if r["kind"] == "train"] == list(range(0, 161, 4))


@pytest.mark.slow
def test_a_stop_asked_of_one_host_saves_and_ends_both(tmp_path):
    pair = start_pair(tmp_path / "run", *LONG, "--config.mesh.parameters=sharded")
    wait_for_row(pair[0], tmp_path / "run", '"step": 24,')
    pair[1].send_signal(signal.SIGTERM)
    codes, errors = ends(pair)
    assert codes == [143, 143], errors
    assert all("Stopped and saved" in error for error in errors)


def test_hosts_that_were_given_different_commands_say_so_and_end(tmp_path):
    port = free_port()
    codes, errors = ends([start(0, port, tmp_path / "run"), start(1, port, tmp_path / "run", "--config.seed=1")])
    assert codes == [2, 2]
    for error in errors:
        assert error.strip() == (
            "error: seed is '1' on host 1 and '0' on host 0 but must be the same on every host; give all of them the "
            "same command and the same code."
        )
    assert not (tmp_path / "run").exists()


def test_a_mistake_of_one_host_ends_both(tmp_path):
    port = free_port()
    codes, errors = ends([start(0, port, tmp_path / "run"), start(1, port, tmp_path / "run", "--config.sed=1")])
    assert codes == [2, 2]
    assert "host 1: config has no field 'sed'; did you mean 'seed'?" in errors[0]


@pytest.mark.parametrize("process_id", [0, 1])
def test_a_host_that_does_not_come_is_named_within_the_stated_time(tmp_path, process_id):
    began = time.monotonic()
    codes, errors = ends([start(process_id, free_port(), tmp_path / "run", "--connect_timeout=2")])
    assert codes == [2]
    assert time.monotonic() - began < 120
    expected = "host 1 of 2 did not call" if process_id == 0 else "could not be reached within 2 seconds"
    assert expected in errors[0]
    assert errors[0].count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--coordinator=nowhere"], "--num_processes is missing"),
        (["--coordinator=nowhere", "--num_processes=2", "--process_id=0"], "must be HOST:PORT"),
        (["--coordinator=a:1", "--num_processes=2", "--process_id=2"], "must lie in [0, 1]"),
        (["--coordinator=a:1", "--num_processes=two", "--process_id=0"], "--num_processes is 'two' (str) but"),
        (["--distributed=yes"], "--distributed is 'yes' but must be auto"),
    ],
)
def test_wrong_flags_are_told_in_one_sentence(flags, message, capsys, tmp_path):
    assert main([*MLP, f"--workdir={tmp_path}", *flags]) == 2
    assert message in capsys.readouterr().err


def roll(facts, num_processes=None):
    """What each of several hosts, as threads, is told when they call each other's roll."""
    port, told = free_port(), {}

    def call(i):
        try:
            call_roll(Hosts(f"127.0.0.1:{port}", num_processes or len(facts), i, timeout=10), facts[i])
            told[i] = None
        except ConfigError as error:
            told[i] = str(error)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(facts))]
    for thread in threads:
        thread.start()
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
        stranger.sendall(len(b"hello").to_bytes(8, "big") + b"hello")
    for thread in threads:
        thread.join(30)
    return [told.get(i, "never told") for i in range(len(facts))]


def test_hosts_with_the_same_facts_are_let_through_whoever_else_calls():
    assert roll([{"code": "a"}] * 3) == [None, None, None]


def test_every_host_is_told_which_one_has_other_code():
    sentences = roll([{"code": "a"}, {"code": "a"}, {"code": "b"}])
    assert len(set(sentences)) == 1
    assert "code is 'b' on host 2 and 'a' on host 0 but must be the same on every host" in sentences[0]


def test_the_code_of_every_room_counts(tmp_path):
    (tmp_path / "room").mkdir()
    files = [tmp_path / "a.py", tmp_path / "room" / "b.py"]
    versions = set()
    for file in files:
        file.write_text("x = 1")
        versions.add(code_version(tmp_path))
    (tmp_path / "room" / "b.py").write_text("x = 2")
    assert len(versions | {code_version(tmp_path)}) == 3
    assert code_version() == code_version(pathlib.Path(repcon_jax.__file__).parent)
