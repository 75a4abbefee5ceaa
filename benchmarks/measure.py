"""Competitors side by side: processes that take turns, and what is said about their times."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
Spread = dict[str, Any]


class NotMeasuredError(Exception):
    """A competitor that can't run; the message says why."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a worker builds.

    Args:
        runner: ``module:Class`` in this folder.
        options: the class's arguments.
        environment: variables of the process.
        fewest_steps: of a turn; more than one where a turn has costs that are no step's.
    """

    runner: str
    options: Mapping[str, Any]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fewest_steps: int = 1


class Worker:
    """A competitor's process; ready to step after ``wait``."""

    def __init__(self, spec: Spec) -> None:
        """Starts the process."""
        self.fewest_steps = spec.fewest_steps
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        text = json.dumps({"runner": spec.runner, "options": dict(spec.options)})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", text],
            cwd=ROOT,
            env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **spec.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.ready: dict[str, Any] = {}

    def wait(self) -> None:
        """Waits until the first step is done.

        Raises:
            NotMeasuredError: the process failed.
        """
        self.ready = self._answer()

    def seconds(self, steps: int) -> float:
        """Wall-clock seconds of a number of steps, measured in the process."""
        with contextlib.suppress(BrokenPipeError):  # what a dead process said is told by the answer that it lacks
            self.process.stdin.write(f"{steps}\n")
            self.process.stdin.flush()
        return self._answer()["seconds"]

    def finish(self) -> dict[str, Any]:
        """Ends the process; everything it said about itself."""
        self.process.stdin.close()
        about = self.ready | self._answer()
        self.process.wait()
        return about

    def kill(self) -> None:
        """Ends the process where ``finish`` did not."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.log.seek(0)
        said = [text.strip() for text in self.log.readlines() if text.strip()]
        raise NotMeasuredError(said[-1][:200] if said else f"the process ended with {self.process.returncode}")


def compare(
    specs: Mapping[str, Spec], repeats: int, turn_seconds: float, *, at_once: bool = True
) -> dict[str, dict[str, Any]]:
    """Runs competitors in turns, A B C A B C ..., so that a drift of the machine meets them all.

    Args:
        specs: the competitors by name.
        repeats: turns of each.
        turn_seconds: a turn is as many steps as take about this long, but no fewer than its ``fewest_steps``.
        at_once: whether the processes start together, which is quicker, or one after another, so that the seconds of
            their first steps mean something.
    Returns:
        For each name what the worker says about itself, ``steps`` per turn and ``step_seconds`` of every turn, or
        ``{"not_measured": reason}``.
    """
    measured: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        started = {}
        for name, spec in specs.items():
            started[name] = Worker(spec)
            stack.callback(started[name].kill)
            if not at_once:
                measured |= _wait({name: started[name]})
        if at_once:
            measured = _wait(started)
        workers = {name: worker for name, worker in started.items() if name not in measured}
        for name, about in _turns(workers, repeats, turn_seconds).items():
            measured[name] = about if "not_measured" in about else workers[name].finish() | about
    return {name: measured[name] for name in specs}


def _wait(workers: Mapping[str, Worker]) -> dict[str, dict[str, Any]]:
    """Those that failed, and why."""
    failed = {}
    for name, worker in workers.items():
        try:
            worker.wait()
        except NotMeasuredError as error:
            failed[name] = {"not_measured": str(error)}
    return failed


def _turns(workers: Mapping[str, Worker], repeats: int, turn_seconds: float) -> dict[str, dict[str, Any]]:
    """Steps per turn and seconds per step of every turn, or why there are none."""
    turns = {name: {"steps": worker.fewest_steps, "step_seconds": []} for name, worker in workers.items()}
    _turn(workers, turns)
    # The first turn finds the pace. It counts where it was already as long as a turn has to be.
    measured = {name: about for name, about in turns.items() if "not_measured" not in about}
    paces = {name: round(turn_seconds / about["step_seconds"][0]) for name, about in measured.items()}
    if any(pace > measured[name]["steps"] for name, pace in paces.items()):
        for name, about in measured.items():
            about |= {"steps": max(about["steps"], paces[name]), "step_seconds": []}
        _turn(workers, turns)
    for _ in range(repeats - 1):
        _turn(workers, turns)
    return turns


def _turn(workers: Mapping[str, Worker], turns: dict[str, dict[str, Any]]) -> None:
    for name, about in turns.items():
        if "not_measured" in about:
            continue
        try:
            about["step_seconds"].append(workers[name].seconds(about["steps"]) / about["steps"])
        except NotMeasuredError as error:
            turns[name] = {"not_measured": str(error)}


def spread(values: list[float]) -> Spread:
    """Median, quartiles, least and greatest.

    >>> spread([4.0, 1.0, 3.0, 2.0, 10.0])["median"]
    3.0
    """
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return {
        "median": float(median),
        "lower_quartile": float(low),
        "upper_quartile": float(high),
        "least": min(values),
        "greatest": max(values),
    }


def rates(step_seconds: list[float], units: float = 1.0) -> Spread:
    """Units per second, such as images, when a step holds ``units`` of them."""
    return spread([units / seconds for seconds in step_seconds])


def ratios(ours: list[float], theirs: list[float]) -> Spread:
    """How many times faster we are, turn by turn: their seconds over ours; above 1 we are faster.

    >>> ratios([1.0, 2.0], [2.0, 6.0])["median"]
    2.5
    """
    return spread([b / a for a, b in zip(ours, theirs, strict=True)])


@contextlib.contextmanager
def cache_directories() -> Iterator[dict[str, str]]:
    """Variables that give a process empty compilation caches, which a second process finds filled."""
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch",
        }
