"""A landscape from config to report: its runs trained, its networks measured, its figures drawn."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from repcon_jax.errors import ConfigError
from repcon_jax.figures.landscapes import write_landscape_figures, write_landscape_report
from repcon_jax.machine.stopping import stop_requests
from repcon_jax.records.files import write_json
from repcon_jax.run.references import expand
from repcon_jax.run.runs import train_runs
from repcon_jax.run.stages import begun, finished
from repcon_jax.tasks.landscape.analyses import ANALYSES, Analysis
from repcon_jax.tasks.landscape.bench import all_references, build_bench
from repcon_jax.tasks.landscape.config import LandscapeConfig, parse_landscape, plain_landscape


def run_landscape(config: LandscapeConfig, workdir: pathlib.Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Trains what must be trained, measures and draws; goes on where an earlier start was stopped.

    In the same work directory the analysis's adjustable options may change: of the points, what is known is read.

    Args:
        config: what to measure.
        workdir: where everything is written.
        say: receives lines for the user.
    Returns:
        The contents of ``results.json``.
    Raises:
        UserError: config, data, checkpoints or work directory are wrong.
        Stopped: the user or the system asked to stop; the same command goes on.
    """
    plain = plain_landscape(config)
    analysis = ANALYSES.build(config.analysis.name, **config.analysis.options)
    adjustable = ("figures", *(f"analysis.{option}" for option in analysis.adjustable))
    if (results := finished(workdir, plain, _complete, adjustable, say)) is not None:
        return results
    references = _references(config, analysis)
    with begun(workdir, plain):
        train_runs(config.runs, workdir, say)
        with stop_requests() as stop_requested:
            results = analysis.measure(build_bench(config, workdir, references, analysis.curves, say, stop_requested))
        pictures = write_landscape_figures(workdir / "figures", results) if config.figures else []
        write_landscape_report(workdir, results, pictures)
        write_json(workdir / "results.json", results)
    return results


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    return plain_landscape(parse_landscape(values))


def _references(config: LandscapeConfig, analysis: Analysis) -> list[str]:
    """All networks, by name; what is wrong is found before anything is trained."""
    references = all_references(analysis.networks, config)
    if not references:
        raise ConfigError("analysis names no network; give references such as 'RUN/seed_0/end'.")
    for reference in analysis.curves:
        expand(reference, config.runs)
    if config.reference and len(expand(config.reference, config.runs)) > 1:
        raise ConfigError(f"reference is {config.reference!r} but must be a single network; name a member.")
    return references
