"""A lottery from config to report: runs, chains of rounds, studies of their tickets, figures."""

import pathlib
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import jax

from repcon_jax.errors import ConfigError, UserError
from repcon_jax.figures.lottery import write_lottery_figures, write_lottery_report
from repcon_jax.lottery.masks import layer_densities
from repcon_jax.records.files import write_json
from repcon_jax.records.metrics_log import read_metrics
from repcon_jax.records.scores import ACCURACY, plain_scores
from repcon_jax.run.experiment import build_experiment
from repcon_jax.run.references import expand
from repcon_jax.run.runs import train_runs
from repcon_jax.run.stages import begun, finished
from repcon_jax.tasks.lottery.bench import LotteryBench
from repcon_jax.tasks.lottery.chains import starts_of, train_chain
from repcon_jax.tasks.lottery.config import LotteryConfig, parse_lottery, plain_lottery
from repcon_jax.tasks.lottery.pruning import check_structure
from repcon_jax.tasks.lottery.studies import Study, build_study
from repcon_jax.tasks.lottery.tickets import Ticket
from repcon_jax.training.step import scalars_at

# Every study has a folder of its own, so a later start may ask for others.
_MAY_DIFFER = ("title", "studies", "studied_chains", "studied_rounds", "figures")


def run_lottery(config: LotteryConfig, workdir: pathlib.Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Trains, prunes and rewinds along every chain; goes on where an earlier start was stopped.

    In the same work directory other studies may be asked for: the rounds, and the studies that were made, are kept.

    Args:
        config: what to do.
        workdir: where everything is written; rounds lie in ``rounds/CHAIN/NN``, what is trained for studies in
            ``studies/STUDY/CHAIN/NN``.
        say: receives lines for the user.
    Returns:
        The contents of ``results.json``.
    Raises:
        UserError: config, data, checkpoints or work directory are wrong.
        Stopped: the user or the system asked to stop; the same command goes on.
    """
    plain = plain_lottery(config)
    if (results := finished(workdir, plain, _complete, _MAY_DIFFER, say)) is not None:
        return results
    bench = LotteryBench(config, workdir, build_experiment(config.training_config()), say)
    studies = {text: build_study(text) for text in config.studies}
    _check(bench, studies)
    with begun(workdir, plain):
        train_runs(config.runs, workdir, say)
        results = _results(bench, studies)
        pictures = write_lottery_figures(workdir / "figures", results) if config.figures else []
        write_lottery_report(workdir, results, pictures)
        write_json(workdir / "results.json", results)
    return results


def _results(bench: LotteryBench, studies: dict[str, Study]) -> dict[str, Any]:
    config = bench.config
    # All starts are read before anything is trained.
    starts = {name: starts_of(bench, name, chain) for name, chain in config.chains.items()}
    tickets = {name: train_chain(bench, name, chain, starts[name]) for name, chain in config.chains.items()}
    studied = [ticket for name in config.studied_chains or tickets for ticket in tickets[name]]
    if config.studied_rounds:
        studied = [ticket for ticket in studied if ticket.number in config.studied_rounds]
    return {
        "kind": "lottery",
        "title": config.title,
        "seeds": list(bench.states),
        "measured_on": bench.measured_on,
        "labels": {name: chain.label or name for name, chain in config.chains.items()},
        "chains": {name: [_entry(ticket) for ticket in chain] for name, chain in tickets.items()},
        "studies": {
            text: {
                "kind": study.kind,
                "entries": study.measure(bench, text, studied),
                "scores": plain_scores(study.scores),
            }
            for text, study in studies.items()
        },
        "scores": plain_scores({"accuracy": ACCURACY}),
    }


def _entry(ticket: Ticket) -> dict[str, Any]:
    layers = [layer_densities(mask) for mask in ticket.masks.values()]
    return {
        "density": ticket.density,
        "accuracy": ticket.accuracy,
        "layers": {layer: statistics.fmean(of[layer] for of in layers) for layer in layers[0]},
        "curve": _curve(ticket.folder),
    }


def _check(bench: LotteryBench, studies: dict[str, Study]) -> None:
    """Finds what is wrong before anything is trained."""
    config, experiment = bench.config, bench.experiment
    if not experiment.objective.uses_labels:
        raise ConfigError(
            f"training.objective.name is {experiment.config.objective.name!r}, which has no accuracy; take "
            "'supervised'."
        )
    example = jax.ShapeDtypeStruct(experiment.recipe.example, "float32")
    start = lambda key, images: experiment.objective.start(key, images, scalars_at(experiment.objective.scalars, 0))[0]  # noqa: E731
    params = jax.eval_shape(start, jax.random.key(0), example)
    for name, chain in config.chains.items():
        if chain.start != "random":
            expand(chain.start, config.runs)
        try:
            check_structure(config, chain, experiment.model, params)
        except UserError as error:
            raise ConfigError(f"chains.{name}: {error}") from error
    for study in studies.values():
        study.check(bench)


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    return plain_lottery(parse_lottery(values))


def _curve(folder: pathlib.Path) -> dict[str, list[float]]:
    """Training accuracy against the step, mean over seeds."""
    accuracies: dict[int, list[float]] = {}
    for row in read_metrics(folder):
        if row["kind"] == "train" and "accuracy" in row:
            accuracies.setdefault(row["step"], []).append(row["accuracy"])
    return {"step": sorted(accuracies), "accuracy": [statistics.fmean(accuracies[step]) for step in sorted(accuracies)]}
