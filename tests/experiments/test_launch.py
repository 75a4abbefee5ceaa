"""The commands that run elsewhere: printed exactly, refused in one sentence, repeated when a machine is taken away."""

import json
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys
import tomllib

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "experiments" / "launch"
LAUNCH = runpy.run_path(str(FOLDER / "launch.py"))
STAGES = [(target, stage) for target, stages in LAUNCH["STAGES"].items() for stage in stages]
FILLED = {
    "tpu": {
        "project": "my-project",
        "zone": "us-central2-b",
        "accelerator_type": "v4-32",
        "bucket": "gs://my-bucket/",
        "retries": 3,
        "retry_seconds": 0,
    },
    "gpu": {"hosts": ["me@gpu1", "me@gpu2"]},
    "slurm": {"host": "me@cluster", "nodes": 2},
    "run": {"arguments": "--config c.py:a,b --config.seed=1 --config.duration='5 epochs'", "workdir": "runs/my run"},
}


def write_settings(folder, **changes):
    settings = tomllib.loads((FOLDER / "settings.toml").read_text())
    for section, values in [*FILLED.items(), *changes.items()]:
        settings[section] |= values
    lines = []
    for section, values in settings.items():
        lines += [f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    file = folder / "settings.toml"
    file.write_text("\n".join(lines))
    return file


def launch(*words, path=None):
    environment = {**os.environ, **({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})}
    command = [sys.executable, str(FOLDER / "launch.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def stub(folder, name, script):
    """An executable that records its words, one line a call, and then does what the script says."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f'#!/usr/bin/env bash\nprintf "%s\\n" "{name} $*" >> "{folder}/calls"\n{script}\n')
    file.chmod(0o755)


def calls(folder):
    return (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize(("target", "stage"), STAGES)
def test_a_dry_run_prints_what_would_run_and_touches_nothing(target, stage, tmp_path, capsys):
    file = write_settings(tmp_path)
    for name in ("gcloud", "ssh", "rsync", "git"):
        stub(tmp_path / "bin", name, "exit 9")
    assert LAUNCH["main"]([target, stage, "--dry-run", "--settings", str(file)]) == 0
    printed = capsys.readouterr().out
    commands = [words for line in printed.splitlines() if (words := shlex.split(line, comments=True))]
    assert commands == LAUNCH["commands"](target, stage, LAUNCH["read_settings"](file, target))
    remote = [words[-1] for words in commands if words[0] == "ssh"]
    remote += [word.removeprefix("--command=") for words in commands for word in words if "--command=" in word]
    for program in (printed, *remote):
        assert subprocess.run(["bash", "-n"], input=program, text=True).returncode == 0, program
    wanted = {"tpu": ["my-project", "us-central2-b"], "gpu": ["me@gpu1"], "slurm": ["me@cluster"]}[target]
    assert all(value in printed for value in wanted)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bin", "settings.toml"]
    assert not (tmp_path / "bin" / "calls").exists()


def test_the_run_says_what_the_settings_say(tmp_path):
    file = write_settings(tmp_path)
    arguments = [*shlex.split(FILLED["run"]["arguments"]), "--workdir", "runs/my run"]
    tpu, gpu, slurm = (LAUNCH["commands"](t, "run", LAUNCH["read_settings"](file, t)) for t in ("tpu", "gpu", "slurm"))
    remote = [shlex.split(next(w for w in c if w.startswith("--command=")).partition("=")[2]) for c in tpu]
    assert remote[0][3:] == ["bash", "experiments/launch/tpu_host.sh", "restore", "runs/my run", "gs://my-bucket"]
    assert remote[1][5:] == ["run", "runs/my run", "gs://my-bucket", "10", *arguments]
    assert "--worker=0" in tpu[0]
    assert "--worker=all" in tpu[1]
    for number, command in enumerate(gpu):
        assert command[:2] == ["ssh", FILLED["gpu"]["hosts"][number]]
        text = shlex.split(command[2].partition("(")[2].rstrip("&)"))[3]
        group = ["--coordinator", "gpu1:12321", "--num_processes", "2", "--process_id", str(number)]
        assert shlex.split(text.partition(";")[0])[3:] == [*arguments, *group]
    words = shlex.split(slurm[0][2].rpartition("&& ")[2])
    assert words[:2] == ["sbatch", "--nodes=2"]
    assert words[words.index("experiments/launch/slurm.sh") + 1 :] == arguments


def test_one_gpu_host_needs_no_coordinator(tmp_path):
    file = write_settings(tmp_path, gpu={"hosts": ["gpu1"]})
    (command,) = LAUNCH["commands"]("gpu", "run", LAUNCH["read_settings"](file, "gpu"))
    assert "--coordinator" not in command[2]


@pytest.mark.parametrize(
    ("changes", "words", "message"),
    [
        ({"tpu": {"project": ""}}, "tpu create", r"leaves tpu\.project empty; fill it in"),
        ({"gpu": {"hosts": []}}, "gpu run", r"leaves gpu\.hosts empty"),
        ({"slurm": {"host": ""}}, "slurm copy", r"leaves slurm\.host empty"),
        ({"slurm": {"nodes": "2"}}, "slurm run", r"slurm\.nodes = '2', which must be of type int"),
        ({"run": {"wordkir": "x"}}, "gpu run", r"run\.wordkir, which does not exist"),
        ({"tpu": {"bucket": ""}}, "tpu run", r"spot = true and no tpu\.bucket"),
        ({}, "gpu create", r"'create' does not exist; choose one of: copy, run, status, fetch"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(changes, words, message, tmp_path, capsys):
    file = write_settings(tmp_path, **changes)
    assert LAUNCH["main"]([*words.split(), "--dry-run", "--settings", str(file)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(rf"error: .*{message}.*\n", printed.err)


def test_the_shipped_settings_are_to_be_filled_in(capsys):
    for target in ("tpu", "gpu", "slurm"):
        assert LAUNCH["main"]([target, "run", "--dry-run"]) == 2
        assert "fill it in" in capsys.readouterr().err
    assert LAUNCH["main"](["--help"]) == 0
    assert LAUNCH["main"](["lsf", "run"]) == 2


def test_the_first_failure_ends_a_stage(tmp_path):
    file, path = write_settings(tmp_path), tmp_path / "bin"
    stub(path, "ssh", "exit 5")
    done = launch("gpu", "run", "--settings", file, path=path)
    assert done.returncode == 2
    assert len(calls(path)) == 1
    assert re.search(r"^error: ssh me@gpu1 .* failed with exit code 5; see above\.$", done.stderr, re.MULTILINE)


# A machine is there while the file `machine` is; `run` fails by the list in `codes`, and 99 takes the machine away.
GCLOUD = """
cd "$(dirname "$0")"
case "$4" in
describe) cat machine 2>/dev/null ;;
create) echo READY > machine ;;
delete) rm machine ;;
ssh)
    case "$*" in *"tpu_host.sh run"*)
        code=$(head -n 1 codes); sed -i 1d codes
        if [ "$code" = 99 ]; then echo PREEMPTED > machine; exit 255; fi
        exit "$code" ;;
    esac ;;
esac
"""


def tpu_run(tmp_path, codes, **changes):
    file, path = write_settings(tmp_path, **changes), tmp_path / "bin"
    stub(path, "gcloud", GCLOUD)
    stub(path, "git", "")
    (path / "codes").write_text("\n".join(map(str, codes)) + "\n")
    done = launch("tpu", "run", "--settings", file, path=path)
    verbs = [line.split()[4] for line in calls(path) if line.startswith("gcloud")]
    return done, [verb for verb in verbs if verb != "describe"]


def test_a_tpu_that_is_taken_away_is_made_again_until_the_run_is_done(tmp_path):
    done, verbs = tpu_run(tmp_path, [99, 255, 0])
    assert done.returncode == 0, done.stderr
    attempt = ["scp", "ssh", "ssh", "ssh"]  # copy, install, restore, run
    assert verbs == ["create", *attempt, "delete", "create", *attempt, *attempt]


@pytest.mark.parametrize("code", [1, 2, 127])
def test_an_error_of_the_program_is_not_repeated(code, tmp_path):
    done, verbs = tpu_run(tmp_path, [code, 0])
    assert done.returncode == 2
    assert f"failed with exit code {code}" in done.stderr
    assert verbs.count("create") == 1


def test_the_retries_have_an_end(tmp_path):
    done, verbs = tpu_run(tmp_path, [99] * 9, tpu={"retries": 2})
    assert done.returncode == 2
    assert "error: tpu.retries is 2 and the run is not done" in done.stderr
    assert verbs.count("create") == 3


# A bucket is a folder; the program is a stand-in that writes its work directory.
BUCKET = """
bucket="$(dirname "$0")/bucket"
case "$2" in
ls) if [ -e "$bucket" ]; then for f in "$bucket"/*; do echo "gs://b/$(basename "$f")"; done; else exit 1; fi ;;
cp) from=$4 to=$5; cp "${from/gs:\\/\\/b/$bucket}" "${to/gs:\\/\\/b/$bucket}" ;;
esac
"""


def tpu_host(folder, *words, code=0):
    path = folder / "bin"
    stub(path, "gcloud", BUCKET)
    stub(path, "python", f'mkdir -p runs/a; echo "$*" >> runs/a/log; exit {code}')
    (folder / "host" / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
    python = folder / "host" / ".venv" / "bin" / "python"
    python.unlink(missing_ok=True)
    python.symlink_to(path / "python")
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
    command = ["bash", str(FOLDER / "tpu_host.sh"), *words]
    return subprocess.run(command, cwd=folder / "host", env=environment, capture_output=True, text=True, timeout=60)


def test_a_work_directory_survives_its_tpu(tmp_path):
    (tmp_path / "bin" / "bucket").mkdir(parents=True)
    assert tpu_host(tmp_path, "restore", "runs/a", "gs://b").returncode == 0
    assert tpu_host(tmp_path, "run", "runs/a", "gs://b", "10", "--x=1", code=143).returncode == 143
    log = tmp_path / "host" / "runs" / "a" / "log"
    assert log.read_text() == "-m repcon_jax --x=1 --distributed auto\n"
    subprocess.run(["rm", "-r", str(tmp_path / "host")], check=True)
    assert tpu_host(tmp_path, "restore", "runs/a", "gs://b").returncode == 0
    assert log.read_text() == "-m repcon_jax --x=1 --distributed auto\n"
    assert tpu_host(tmp_path, "run", "runs/a", "gs://b", "10", "--x=1").returncode == 0
    assert len(log.read_text().splitlines()) == 2


def test_a_bucket_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path):
    done = tpu_host(tmp_path, "restore", "runs/a", "gs://b")
    assert done.returncode == 2
    assert "error: bucket gs://b can't be listed" in done.stderr


@pytest.mark.parametrize(
    ("code", "restarts", "nodes", "requeued", "found"),
    [
        (0, 0, 1, False, 0),
        (2, 0, 1, False, 2),
        (143, 0, 2, True, 0),
        (3, 0, 2, True, 0),
        (143, 99, 1, True, 0),
        (143, 100, 1, False, 1),
    ],
)
def test_slurm_queues_up_again_only_what_was_stopped(code, restarts, nodes, requeued, found, tmp_path):
    stub(tmp_path, "srun", f'echo "gpus $JAX_LOCAL_DEVICE_IDS cpus $SRUN_CPUS_PER_TASK"; exit {code}')
    stub(tmp_path, "scontrol", "")
    slurm = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": str(restarts), "SLURM_JOB_NUM_NODES": str(nodes)}
    slurm |= {"SLURM_GPUS_ON_NODE": "4", "SLURM_CPUS_PER_TASK": "8"}
    environment = {**os.environ, **slurm, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", str(FOLDER / "slurm.sh"), "--config", "c.py", "--workdir=runs/a"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == found
    assert done.stdout.startswith("gpus 0,1,2,3 cpus 8\n")
    auto = " --distributed auto" if nodes > 1 else ""
    run = f"srun --wait=300 .venv/bin/python -m repcon_jax --config c.py --workdir=runs/a{auto}"
    assert calls(tmp_path) == [run, *(["scontrol requeue 7"] if requeued else [])]


def test_the_script_asks_slurm_for_a_warning_and_for_requeueing():
    options = re.findall(r"^#SBATCH (\S+)$", (FOLDER / "slurm.sh").read_text(), re.MULTILINE)
    assert {"--requeue", "--signal=TERM@120", "--open-mode=append", "--ntasks-per-node=1"} <= set(options)
