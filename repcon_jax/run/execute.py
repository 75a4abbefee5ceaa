"""A run from config to report, as stages that are done once: every member trained, results gathered, figures drawn."""

import contextlib
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tqdm import tqdm

from repcon_jax.errors import DivergenceError
from repcon_jax.figures import write_figures, write_report
from repcon_jax.machine.distributed import from_main, is_main, together
from repcon_jax.machine.stopping import Stopped, stop_requests
from repcon_jax.records.files import read_json, write_json
from repcon_jax.records.results import summarise_population
from repcon_jax.records.workdir import check_config, locked, open_workdir, record_end, record_start
from repcon_jax.run.config import ExperimentConfig, parse_config, plain_config
from repcon_jax.run.experiment import Experiment, build_experiment
from repcon_jax.run.group_training import GroupTraining, cells_of
from repcon_jax.run.member_files import read_result
from repcon_jax.run.members import members_of
from repcon_jax.run.planning import plan
from repcon_jax.run.prober import Interrupted, Prober
from repcon_jax.run.remembered import forget


def run_experiment(
    config: ExperimentConfig,
    workdir: pathlib.Path,
    say: Callable[[str], None] = print,
    experiment: Experiment | None = None,
) -> dict:
    """Trains, probes and reports every member of a run; goes on where an earlier start was stopped.

    Args:
        config: what to run.
        workdir: where everything is written, and read again at the next start.
        say: receives lines for the user.
        experiment: what ``build_experiment`` gives for the config, where several runs share it and its programs.
    Returns:
        The contents of ``results.json``.
    Raises:
        UserError: config, data, checkpoints or work directory are wrong; nothing was compiled or overwritten.
        Stopped: the user or the system asked to stop; the same command goes on.
        DivergenceError: the loss became NaN or infinite.
    """
    done = workdir / "results.json"
    with together():
        if is_main():
            check_config(workdir, plain_config(config), _complete)
    if from_main(done.exists() and (workdir / "report.md").exists()):
        say(f"This run is complete: see {workdir / 'report.md'}.")
        with together():
            results = read_json(done, "seeds", "steps") if is_main() else None
        return from_main(results)
    with together():
        experiment = build_experiment(config) if experiment is None else experiment
    with contextlib.ExitStack() as stack:
        with together():
            if is_main():
                stack.enter_context(locked(workdir))
                check_config(workdir, plain_config(config), _complete)  # another start may have come before the lock
                open_workdir(workdir, plain_config(config))
        return _run_stages(experiment, workdir, say)


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored config, in which fields and options younger than itself have their defaults."""
    return plain_config(parse_config(values))


def _run_stages(experiment: Experiment, workdir: pathlib.Path, say: Callable[[str], None]) -> dict:
    began = time.monotonic()
    if is_main():
        record_start(workdir)
    with stop_requests() as stop_requested:
        try:
            _train_groups(experiment, workdir, stop_requested, say)
        except Interrupted:
            raise Stopped(stop_requested() or signal.SIGTERM) from None
    if is_main():
        forget(workdir)
        _write_results(experiment, workdir)
        record_end(workdir, time.monotonic() - began)
    return from_main(read_json(workdir / "results.json", "seeds", "steps") if is_main() else None)


def _train_groups(
    experiment: Experiment, workdir: pathlib.Path, stop_requested: Callable[[], int], say: Callable[[str], None]
) -> None:
    if from_main(all(read_result(workdir, member) for member in members_of(experiment.config)) if is_main() else None):
        return
    groups, program = plan(experiment, workdir, say)
    prober = Prober(experiment)

    def say_above(line: str) -> None:
        with tqdm.external_write_mode():  # else it would stand at the end of the progress bar
            say(line)

    for number, group in enumerate(groups, 1):
        names = cells_of(experiment, group).values()
        if from_main(all(read_result(workdir, name) for name in names) if is_main() else None):
            continue
        title = str(next(iter(names))) if len(names) == 1 else f"{len(names)} members"
        title += f" ({number}/{len(groups)})" if len(groups) > 1 else ""
        with _progress(experiment.clock.total_steps, title) as show:
            GroupTraining(experiment, program, group, workdir, prober, show, stop_requested, say_above).run()


@contextlib.contextmanager
def _progress(total: int, title: str) -> Iterator[Callable[[int, dict[str, float]], None]]:
    with tqdm(total=total, desc=title, unit="step", dynamic_ncols=True, disable=not is_main()) as bar:

        def show(steps: int, latest: dict[str, float]) -> None:
            if not latest:  # resumed: what an earlier start made is not this one's pace
                bar.initial = bar.n = steps
                return
            # The metrics first: update() may redraw, set_postfix alone must not.
            bar.set_postfix(
                {k: f"{v:.3g}" for k, v in latest.items() if k in ("loss", "kl", "accuracy")}, refresh=False
            )
            bar.update(steps)

        yield show


def _write_results(experiment: Experiment, workdir: pathlib.Path) -> None:
    names = members_of(experiment.config)
    members = [(name, read_result(workdir, name)) for name in names]
    if all("diverged" in result for _, result in members):
        raise DivergenceError("the loss of every member became NaN or infinite; lower optimiser.learning_rate.")
    results = summarise_population([(name.values, result) for name, result in members], experiment.scores())
    if experiment.config.figures:
        write_figures(workdir, results)
    write_report(workdir, plain_config(experiment.config), results)
    write_json(workdir / "results.json", results)
