"""A run from config to report, as stages that are done once: every member trained, results gathered, figures drawn."""

import contextlib
import pathlib
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from repcon_jax.config import ExperimentConfig
from repcon_jax.figures import write_figures, write_report
from repcon_jax.files import read_json, write_json
from repcon_jax.member import Interrupted, Member
from repcon_jax.problem import Problem, build_problem
from repcon_jax.workdir import check_config, locked, open_workdir, record_end, record_start


class Stopped(Exception):
    """The run was asked to stop by a signal; everything is saved and the same command goes on."""

    def __init__(self, number: int) -> None:
        """Keeps the number of the signal."""
        super().__init__(f"stopped by signal {number}")
        self.signal = number


def run_experiment(config: ExperimentConfig, workdir: pathlib.Path, say: Callable[[str], None] = print) -> dict:
    """Trains, probes and reports every member of a run; goes on where an earlier start was stopped.

    Args:
        config: what to run.
        workdir: where everything is written, and read again at the next start.
        say: receives lines for the user.
    Returns:
        The contents of ``results.json``.
    Raises:
        UserError: config, data, checkpoints or work directory are wrong; nothing was compiled or overwritten.
        Stopped: the user or the system asked to stop; the same command goes on.
        DivergenceError: the loss became NaN or infinite.
    """
    check_config(workdir, config)
    done = workdir / "results.json"
    if done.exists() and (workdir / "report.md").exists():
        say(f"This run is complete: see {workdir / 'report.md'}.")
        return read_json(done, "seeds", "steps", "probe", "train", "test", "distance")
    problem = build_problem(config)
    open_workdir(workdir, config)
    with locked(workdir):
        return _run_stages(problem, workdir)


def _run_stages(problem: Problem, workdir: pathlib.Path) -> dict:
    config = problem.config
    record_start(workdir)
    began = time.monotonic()
    with _stop_requests() as stop_requested:
        try:
            members = [_member_result(problem, workdir, seed, stop_requested) for seed in config.seeds]
        except Interrupted:
            raise Stopped(stop_requested()) from None
    results = summarise(members)
    write_figures(workdir, results)
    write_report(workdir, config, results)
    write_json(workdir / "results.json", results)
    record_end(workdir, time.monotonic() - began)
    return results


def _member_result(problem: Problem, workdir: pathlib.Path, seed: int, stop_requested: Callable[[], int]) -> dict:
    """The final numbers of one member, from its file if it is done."""
    file = workdir / "members" / f"seed_{seed}.json"
    if file.exists():
        return read_json(file, "seed", "steps", "probe", "train", "test", "distance")
    file.parent.mkdir(exist_ok=True)
    with tqdm(total=problem.clock.total_steps, desc=f"seed {seed}", unit="step", dynamic_ncols=True) as bar:

        def show(steps: int, latest: dict[str, float]) -> None:
            if not latest:  # resumed: what an earlier start made is not this one's pace
                bar.initial = bar.n = steps
                return
            # The metrics first: update() may redraw, set_postfix alone must not.
            bar.set_postfix(
                {k: f"{v:.3g}" for k, v in latest.items() if k in ("loss", "kl", "accuracy")}, refresh=False
            )
            bar.update(steps)

        result = Member(problem, workdir, seed, show, stop_requested).run()
    write_json(file, result)
    return result


@contextlib.contextmanager
def _stop_requests() -> Iterator[Callable[[], int]]:
    """Within, Ctrl-C and SIGTERM only set what is yielded, the signal's number or 0; a second Ctrl-C stops at once."""
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        del frame
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received[0] if received else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summarise(members: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation and values over members for every number that they share.

    Args:
        members: results of all members.
    Returns:
        ``{"seeds", "steps", "probe": {encoder: {probe: {"mean", "std", "values"}}}, "train", "test", "distance"}``
        and, where the objective measures it, ``"kl"`` over the last epoch. Accuracies lie in [0, 1].
    """
    first = members[0]
    probe = {
        encoder: {name: _probe_spread([m["probe"][encoder][name] for m in members]) for name in probes}
        for encoder, probes in first["probe"].items()
    }
    groups = {
        group: {name: _spread([m[group][name] for m in members]) for name in first[group]}
        for group in ("train", "test", "distance")
    }
    kl = {"kl": groups["train"]["kl"]} if "kl" in groups["train"] else {}
    return {"seeds": [m["seed"] for m in members], "steps": first["steps"], "probe": probe, **kl, **groups}


def _probe_spread(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """The spread of the accuracy, and every detail that a probe gave (C, converged, finite, ...) for each member."""
    details = {key: [score[key] for score in scores] for key in scores[0] if key != "accuracy"}
    return {**_spread([score["accuracy"] for score in scores]), **details}


def _spread(values: list[float]) -> dict[str, Any]:
    """Mean and sample standard deviation, which a single value does not have."""
    return {
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "values": values,
    }
