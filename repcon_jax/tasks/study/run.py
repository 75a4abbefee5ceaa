"""A study from config to report: its runs trained, its networks measured, its claims judged, its figures drawn."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from repcon_jax.figures.study import write_study_figures, write_study_report, write_study_tables
from repcon_jax.machine.stopping import stop_requests
from repcon_jax.records.files import read_json, write_json
from repcon_jax.run.references import load_reference
from repcon_jax.run.runs import train_runs
from repcon_jax.run.stages import begun, finished
from repcon_jax.tasks.study.config import StudyConfig, parse_study, plain_study
from repcon_jax.tasks.study.draw_files import write_draws
from repcon_jax.tasks.study.feature_store import FeatureStore
from repcon_jax.tasks.study.measuring import measure_all
from repcon_jax.tasks.study.networks import load_networks, references_of
from repcon_jax.tasks.study.rows import RowStore
from repcon_jax.tasks.study.summary import seconds_of, summarise_study
from repcon_jax.tasks.study.targets import load_targets


def run_study(config: StudyConfig, workdir: pathlib.Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Trains what must be trained, measures, compares and draws; goes on where an earlier start was stopped.

    In the same work directory other runs, networks, targets, measurements and claims may be asked for: what is known is
    read.

    Args:
        config: what to do.
        workdir: where everything is written; rows lie in ``values/rows.jsonl``, features in
            ``features/``, the examples that were drawn in ``draws/``.
        say: receives lines for the user.
    Returns:
        The contents of ``results.json``.
    Raises:
        UserError: config, data, checkpoints or work directory are wrong.
        Stopped: the user or the system asked to stop; the same command goes on.
    """
    plain = plain_study(config)
    if (results := finished(workdir, plain, _complete, _may_differ(config, workdir), say)) is not None:
        return results
    references_of(config)  # what is wrong with networks and data is told before anything is trained
    targets = load_targets(config)
    with begun(workdir, plain):
        train_runs(config.runs, workdir, say)
        networks = load_networks(config, partial(load_reference, workdir=workdir, runs=config.runs))
        store = RowStore(workdir / "values" / "rows.jsonl")
        features = FeatureStore(workdir / "features", config.feature_cache)
        with stop_requests() as stop_requested:
            rows = measure_all(config, networks, targets, store, features, stop_requested)
        write_draws(workdir / "draws", targets)
        results = summarise_study(config, rows, {name: target.about() for name, target in targets.items()})
        write_study_tables(workdir, results)
        pictures = write_study_figures(workdir / "figures", results) if config.figures else []
        write_study_report(workdir, results, pictures)
        write_json(workdir / "timings.json", seconds_of(rows))
        write_json(workdir / "results.json", results)
    return results


def _may_differ(config: StudyConfig, workdir: pathlib.Path) -> tuple[str, ...]:
    """What a later start may change: all but runs that are trained, since rows are kept by what they depend on."""
    stored = workdir / "config.json"
    trained = read_json(stored).get("runs", {}) if stored.exists() else {}
    fields = (field.name for field in dataclasses.fields(config) if field.name not in ("task", "runs"))
    return (*fields, *(f"runs.{name}" for name in trained.keys() ^ config.runs.keys()))


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    return plain_study(parse_study(values))
