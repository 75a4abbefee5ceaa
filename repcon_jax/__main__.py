"""python -m repcon_jax --config FILE[:ARGUMENTS] --workdir DIRECTORY [--config.FIELD=VALUE ...]

Runs what a config file describes, such as a training with its probes and report. The same command again goes on where
it was stopped, or says that the run is complete.

  --config FILE[:ARGUMENTS]   a config file, such as configs/random_teacher.py:cifar10,vgg11; the arguments choose
                              its structure and are listed at the top of the file
  --workdir DIRECTORY         where everything is written: report.md, results.json, metrics.jsonl, figures/,
                              checkpoints/, tensorboard/, config.json, environment.json
  --config.FIELD=VALUE        overrides one value, such as --config.seed=1 or --config.optimiser.learning_rate=3e-4
  --compilation_cache PLACE   directory in which compiled programs are kept from start to start, or none for no such
                              cache; by default ~/.cache/repcon_jax/xla
  --distributed auto          one of several hosts that JAX finds itself (TPU pods, Slurm, Open MPI); every host is
                              given the same command, and host 0 writes
  --coordinator HOST:PORT --num_processes N --process_id I
                              the same with the address of host 0 and the number of this one
  --connect_timeout SECONDS   how long hosts wait for each other at the start, by default 300
  --help                      shows this text

Exit codes: 0 done, 1 the loss diverged, 2 something given is wrong (one sentence says what), 3 another host was lost,
130 or 143 stopped by Ctrl-C or SIGTERM after saving.
"""

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pathlib

    from repcon_jax.machine.distributed import Hosts
    from repcon_jax.tasks import Task


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or {"--help", "-h"} & set(arguments):
        print(__doc__.strip())
        return 0 if arguments else 2
    # Both imported here so that --help does not wait; the first before JAX, which reads its flags once.
    from repcon_jax.machine import cpu_compiler

    cpu_compiler.enable()
    from repcon_jax.errors import DivergenceError, UserError

    try:
        return _run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; mend that and give the same command again.", file=sys.stderr)
        return 2
    except DivergenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped at once; the same command goes on from the last checkpoint.", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    from repcon_jax.machine import compilation_cache
    from repcon_jax.run.command_line import read_hosts, split_start_flags

    start, words = split_start_flags(arguments)
    hosts = read_hosts(start)
    task, config, workdir = _read_with_others(words, hosts)
    compilation_cache.enable(start.get("--compilation_cache"))
    from repcon_jax.machine.distributed import is_lost_host, is_main
    from repcon_jax.machine.stopping import Stopped

    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        results = task.run(config, workdir)
    except Stopped as stop:
        print(f"\nStopped and saved; the same command goes on from here: {workdir}", file=sys.stderr)
        return 128 + stop.signal
    except (RuntimeError, ValueError) as error:
        if hosts is None or not is_lost_host(error):
            raise
        _leave_at_once(error)
    if not is_main():
        return 0
    print("\n" + "\n\n".join(filter(None, (task.headline(results), task.table(results)))) + "\n")
    print(f"Report: {workdir / 'report.md'}")
    return 0


def _read_with_others(words: list[str], hosts: "Hosts | None") -> "tuple[Task, Any, pathlib.Path]":
    """Task, config and work directory, once all hosts are there and were given the same."""
    if hosts is None:
        return _read(words)
    from repcon_jax.errors import ConfigError, UserError
    from repcon_jax.machine.distributed import MISTAKE, connect, facts_of

    try:
        task, config, workdir = _read(words)
        if not task.several_hosts:
            raise ConfigError("the task of this config runs on one host; leave --coordinator and --distributed out.")
    except UserError as error:
        connect(hosts, {MISTAKE: str(error)})
        raise
    connect(hosts, facts_of(task.plain(config)))
    return task, config, workdir


def _read(words: list[str]) -> "tuple[Task, Any, pathlib.Path]":
    from repcon_jax.run.command_line import read_values
    from repcon_jax.tasks import task_of

    values, workdir = read_values(words)
    task = task_of(values)
    return task, task.parse(values), workdir


def _leave_at_once(error: Exception) -> None:
    """Ends a host that lost another, without waiting for it at the exit."""
    reason = str(error).splitlines()[0]
    print(
        f"\nerror: another host stopped or cannot be reached ({reason}); the same command on every host goes on from "
        "the last checkpoint.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(3)


def _report_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    # Orbax closes its event loop at the first damaged file while its other reads still want to report to it.
    if not isinstance(unraisable.exc_value, RuntimeError) or "Event loop is closed" not in str(unraisable.exc_value):
        sys.__unraisablehook__(unraisable)


if __name__ == "__main__":
    sys.unraisablehook = _report_unraisable
    code = main()
    if "jax" not in sys.modules:
        sys.exit(code)
    from repcon_jax.machine.distributed import leave

    leave(code)
