"""python experiments/launch/launch.py TARGET STAGE [--dry-run] [--settings FILE]

Runs repcon_jax on machines elsewhere, as experiments/launch/settings.toml says; needs nothing but Python 3.11.

  TARGET      tpu (a TPU VM or pod slice), gpu (one or several hosts reached by ssh), slurm (one or several nodes)
  STAGE       create, copy, run, status, fetch, delete; gpu and slurm have neither create nor delete
  --dry-run   prints the commands and does nothing
  --settings  another settings file

copy sends the last commit, not what is uncommitted, and installs it. run may be given again at any time: it goes on
where the run was stopped. tpu run makes the machine again where it was taken away.
"""

import pathlib
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from typing import Any

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
BUNDLE = "repcon_jax.bundle"
OPTIONAL = {"tpu.bucket", "run.prepare", "slurm.options", "tpu.setup", "gpu.setup", "slurm.setup"}
# Of the program: another host was lost, or stopped and saved; and of ssh, whose connection broke.
REPEATED = (3, 143, 255)

Command = list[str]
Settings = dict[str, dict[str, Any]]


class LaunchError(Exception):
    """A sentence for the user."""


def read_settings(file: pathlib.Path, target: str) -> Settings:
    """The settings of a target and of the run.

    Args:
        file: a TOML file with the sections and fields of settings.toml.
        target: whose fields must be filled in.
    Raises:
        LaunchError: it can't be read, or a field is missing, unknown, of a wrong type or empty.
    """
    try:
        settings, known = (tomllib.loads(f.read_text()) for f in (file, HERE / "settings.toml"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise LaunchError(f"{file} can't be read ({error}); correct it.") from error
    for section in ("run", target):
        given = settings.get(section, {})
        for name in {**known[section], **given}:
            field = f"{section}.{name}"
            if name not in known[section]:
                raise LaunchError(f"{file} has a field {field}, which does not exist; remove or correct it.")
            if type(given.get(name)) is not type(known[section][name]):
                kind = type(known[section][name]).__name__
                raise LaunchError(
                    f"{file} has {field} = {given.get(name)!r}, which must be of type {kind}; correct it."
                )
            if given[name] in ("", []) and field not in OPTIONAL:
                raise LaunchError(f"{file} leaves {field} empty; fill it in.")
    if target == "tpu" and settings["tpu"]["spot"] and not settings["tpu"]["bucket"]:
        raise LaunchError(
            f"{file} has tpu.spot = true and no tpu.bucket, so what is trained would go with the machine; "
            "name a bucket or set tpu.spot = false."
        )
    return settings


def commands(target: str, stage: str, settings: Settings) -> list[Command]:
    """What a stage runs, in order; of ``tpu run`` one attempt on a machine that is there.

    Raises:
        LaunchError: the target or its stage does not exist.
    """
    for word, allowed in ((target, STAGES), (stage, STAGES.get(target, ()))):
        if word not in allowed:
            raise LaunchError(f"{word!r} does not exist; choose one of: {', '.join(allowed)}.")
    return STAGES[target][stage](settings)


def _bundle() -> Command:
    return ["git", "-C", str(ROOT), "bundle", "create", "--quiet", str(ROOT / "build" / BUNDLE), "HEAD"]


def _install(settings: Settings, target: str) -> str:
    folder = shlex.quote(settings["run"]["folder"])
    steps = [
        settings[target]["setup"],
        f"git init -q {folder}",
        f"cd {folder}",
        f"git fetch -q ~/{BUNDLE} HEAD",
        "git checkout -q --detach FETCH_HEAD",
        "make install REQUIREMENTS=requirements.txt",
        f".venv/bin/pip install --quiet {shlex.quote(settings[target]['extra'])}",
        settings["run"]["prepare"],
    ]
    return " && ".join(filter(None, steps))


def _arguments(settings: Settings) -> Command:
    return [*shlex.split(settings["run"]["arguments"]), "--workdir", settings["run"]["workdir"]]


def _there(settings: Settings, *words: str) -> str:
    return f"cd {shlex.quote(settings['run']['folder'])} && {shlex.join(words)}"


def _remote_workdir(settings: Settings) -> str:
    return f"{settings['run']['folder']}/{settings['run']['workdir']}"


def _results(settings: Settings) -> str:
    return f"{ROOT / settings['run']['results']}/"


def _tpu(settings: Settings, verb: str, *words: str) -> Command:
    tpu = settings["tpu"]
    place = [f"--project={tpu['project']}", f"--zone={tpu['zone']}"]
    return ["gcloud", "compute", "tpus", "tpu-vm", verb, *words, *place]


def _tpu_ssh(settings: Settings, worker: str, command: str) -> Command:
    return _tpu(settings, "ssh", settings["tpu"]["name"], f"--worker={worker}", f"--command={command}")


def _tpu_create(settings: Settings) -> list[Command]:
    tpu = settings["tpu"]
    words = [tpu["name"], f"--accelerator-type={tpu['accelerator_type']}", f"--version={tpu['version']}"]
    return [_tpu(settings, "create", *words, *(["--spot"] if tpu["spot"] else []))]


def _tpu_copy(settings: Settings) -> list[Command]:
    bundle, name = str(ROOT / "build" / BUNDLE), settings["tpu"]["name"]
    send = _tpu(settings, "scp", bundle, f"{name}:{BUNDLE}", "--worker=all")
    return [_bundle(), send, _tpu_ssh(settings, "all", _install(settings, "tpu"))]


def _tpu_run(settings: Settings) -> list[Command]:
    tpu, script = settings["tpu"], "experiments/launch/tpu_host.sh"
    place = (settings["run"]["workdir"], tpu["bucket"].rstrip("/"))
    run = ("bash", script, "run", *place, str(tpu["keep_minutes"]), *_arguments(settings))
    return [
        _tpu_ssh(settings, "0", _there(settings, "bash", script, "restore", *place)),
        _tpu_ssh(settings, "all", _there(settings, *run)),
    ]


def _tpu_status(settings: Settings) -> list[Command]:
    return [_tpu(settings, "describe", settings["tpu"]["name"], "--format=value(state)")]


def _tpu_fetch(settings: Settings) -> list[Command]:
    there = f"{settings['tpu']['name']}:{_remote_workdir(settings)}"
    return [_tpu(settings, "scp", "--recurse", there, _results(settings), "--worker=0")]


def _tpu_delete(settings: Settings) -> list[Command]:
    return [_tpu(settings, "delete", settings["tpu"]["name"], "--quiet")]


def _ssh_copy(settings: Settings, target: str, host: str) -> list[Command]:
    return [
        ["rsync", "-z", str(ROOT / "build" / BUNDLE), f"{host}:{BUNDLE}"],
        ["ssh", host, _install(settings, target)],
    ]


def _ssh_fetch(settings: Settings, host: str) -> list[Command]:
    return [["rsync", "-az", f"{host}:{_remote_workdir(settings)}", _results(settings)]]


def _gpu_copy(settings: Settings) -> list[Command]:
    hosts = settings["gpu"]["hosts"]
    return [_bundle(), *(command for host in hosts for command in _ssh_copy(settings, "gpu", host))]


def _gpu_run(settings: Settings) -> list[Command]:
    hosts, port = settings["gpu"]["hosts"], settings["gpu"]["port"]
    first = hosts[0].rpartition("@")[2]
    started = []
    for number, host in enumerate(hosts):
        group = ["--coordinator", f"{first}:{port}", "--num_processes", str(len(hosts)), "--process_id", str(number)]
        program = [".venv/bin/python", "-m", "repcon_jax", *_arguments(settings), *(group if len(hosts) > 1 else [])]
        # The run outlives the connection, which nothing may hold open.
        text = shlex.quote(f"{shlex.join(program)}; echo exit code $?")
        start = f"(nohup bash -c {text} >>launch.log 2>&1 </dev/null &)"
        started.append(["ssh", host, f"cd {shlex.quote(settings['run']['folder'])} && {start}"])
    return started


def _gpu_status(settings: Settings) -> list[Command]:
    show = _there(settings, "tail", "-c", "1000", "launch.log")
    return [["ssh", host, show] for host in settings["gpu"]["hosts"]]


def _slurm_run(settings: Settings) -> list[Command]:
    slurm = settings["slurm"]
    words = ["sbatch", f"--nodes={slurm['nodes']}", *shlex.split(slurm["options"])]
    submit = _there(settings, *words, "experiments/launch/slurm.sh", *_arguments(settings))
    setup = f"{slurm['setup']} && " if slurm["setup"] else ""
    return [["ssh", slurm["host"], setup + submit]]


def _slurm_status(settings: Settings) -> list[Command]:
    show = _there(settings, "bash", "-c", "squeue --me; tail -n 3 slurm-*.txt")
    return [["ssh", settings["slurm"]["host"], show]]


STAGES: dict[str, dict[str, Callable[[Settings], list[Command]]]] = {
    "tpu": {
        "create": _tpu_create,
        "copy": _tpu_copy,
        "run": _tpu_run,
        "status": _tpu_status,
        "fetch": _tpu_fetch,
        "delete": _tpu_delete,
    },
    "gpu": {
        "copy": _gpu_copy,
        "run": _gpu_run,
        "status": _gpu_status,
        "fetch": lambda settings: _ssh_fetch(settings, settings["gpu"]["hosts"][0]),
    },
    "slurm": {
        "copy": lambda settings: [_bundle(), *_ssh_copy(settings, "slurm", settings["slurm"]["host"])],
        "run": _slurm_run,
        "status": _slurm_status,
        "fetch": lambda settings: _ssh_fetch(settings, settings["slurm"]["host"]),
    },
}


def execute(every: list[Command]) -> None:
    """Runs commands one after the other, up to the first that fails.

    Raises:
        LaunchError: one failed; its exit code is the error's second argument.
    """
    for command in every:
        print("+", shlex.join(command), flush=True)
        try:
            code = subprocess.run(command, check=False).returncode
        except OSError as error:
            raise LaunchError(f"{command[0]} can't be run ({error.strerror}); install it.", 127) from error
        if code:
            raise LaunchError(f"{shlex.join(command[:5])} ... failed with exit code {code}; see above.", code)


def run_tpu(settings: Settings) -> None:
    """Runs on the TPU until the program ends, on a new machine whenever the old one was taken away.

    Raises:
        LaunchError: the program failed on a machine that is there, or too many machines were taken away.
    """
    retries = settings["tpu"]["retries"]
    for _ in range(retries + 1):
        try:
            if (state := tpu_state(settings)) != "READY":
                execute([*(_tpu_delete(settings) if state else []), *_tpu_create(settings)])
            execute([*_tpu_copy(settings), *_tpu_run(settings)])
            return
        except LaunchError as error:
            if tpu_state(settings) == "READY" and error.args[1] not in REPEATED:
                raise
            print(f"{error.args[0]} The machine may have been taken away; once more.", file=sys.stderr)
            time.sleep(settings["tpu"]["retry_seconds"])
    raise LaunchError(f"tpu.retries is {retries} and the run is not done; give the same command again.")


def tpu_state(settings: Settings) -> str:
    """Such as ``READY`` or ``PREEMPTED``; empty where there is no such machine."""
    (command,) = _tpu_status(settings)
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    except OSError as error:
        raise LaunchError(f"{command[0]} can't be run ({error.strerror}); install it.", 127) from error


def main(words: list[str]) -> int:
    """The command line; returns the exit code."""
    words, file, dry = list(words), HERE / "settings.toml", "--dry-run" in words
    try:
        if "--settings" in words[:-1]:
            at = words.index("--settings")
            file = pathlib.Path(words[at + 1])
            del words[at : at + 2]
        names = [word for word in words if word != "--dry-run"]
        if len(names) != 2 or names[0] not in STAGES:
            print(__doc__.strip())
            return 0 if "--help" in names else 2
        target, stage = names
        settings = read_settings(file, target)
        wanted = commands(target, stage, settings)
        if dry:
            print("\n".join(shlex.join(command) for command in wanted))
            if names == ["tpu", "run"]:
                print(f"# Where the machine is gone: delete, create, copy, run; {settings['tpu']['retries']} times.")
            return 0
        for folder in ("build", settings["run"]["results"]):
            (ROOT / folder).mkdir(parents=True, exist_ok=True)
        run_tpu(settings) if names == ["tpu", "run"] else execute(wanted)
    except LaunchError as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
