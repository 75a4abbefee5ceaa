"""``report.md``: a run's numbers and pictures on one page."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from repcon_jax.figures.numbers import axis_label, in_words, mean_and_std, probe_scores
from repcon_jax.figures.style import describe_point
from repcon_jax.figures.tables import markdown
from repcon_jax.records.files import read_json, write_atomically

_FIRST = {"population": 0, "probing": 1, "objective": 2}


def results_table(results: dict[str, Any]) -> str:
    """The final values of the probes, mean and standard deviation over seeds, as a Markdown table."""
    scores = probe_scores(results)
    if not scores:
        return "No probes were asked for."
    probed = [point for point in results.get("points", [results]) if point["probe"]]
    axes = list(probed[0].get("values", {}))
    alike = len(set(map(axis_label, scores.values()))) == 1
    columns = [name if alike else f"{name}: {axis_label(score)}" for name, score in scores.items()]
    rows = [[*axes, "representation", *columns]]
    for point in probed:
        values = [str(value) for value in point.get("values", {}).values()]
        for encoder, spreads in point["probe"].items():
            rows.append([*values, encoder, *(mean_and_std(spreads[name], score) for name, score in scores.items())])
    return markdown(rows, words=len(axes) + 1)


def probes_in_words(results: dict[str, Any]) -> str:
    """What the table of a run shows, such as ``Test accuracy in percent``; empty without probes."""
    words = in_words(probe_scores(results).values())
    return f"Test {words}" if words else ""


def write_report(workdir: pathlib.Path, config: Mapping[str, Any], results: dict[str, Any]) -> pathlib.Path:
    """Writes ``report.md``.

    Args:
        workdir: with ``environment.json`` and ``figures/``.
        config: of the run, as plain values.
        results: of the run.
    Returns:
        Path of the report.
    """
    environment = read_json(workdir / "environment.json", "starts", "packages", "devices")
    seeds = ", ".join(str(seed) for seed in results["seeds"])
    count = len(results["seeds"])
    spread = f"mean ± standard deviation over {count} seeds" if count > 1 else "one seed, so no spread"
    sections = [
        f"# {config['title']}",
        f"{config['encoder']['name']} on {config['data']['name']}, {results['steps']} steps of "
        f"{config['batch_size']} images, seeds {seeds}.",
        "## Probes",
        _about_probes(results, spread),
        results_table(results),
        _warnings(results),
        _pictures(workdir),
        "## Other numbers",
        _numbers(results),
        "## How it was made",
        f"Commit {environment['commit']}, JAX {environment['packages']['jax']}, Python {environment['python']}, "
        f"{len(environment['devices'])} x {environment['devices'][0]} ({environment['cpu_count']} CPU cores).",
        f"```\n{environment['starts'][-1]['command']}\n```",
        "<details><summary>config.json</summary>\n\n```json\n" + json.dumps(config, indent=2) + "\n```\n\n</details>",
    ]
    path = workdir / "report.md"
    write_atomically(path, "\n\n".join(section for section in sections if section) + "\n")
    return path


def _about_probes(results: dict[str, Any], spread: str) -> str:
    words = probes_in_words(results)
    if not words:
        return ""
    about = [f"- `{name}`: {score.about}." for name, score in probe_scores(results).items() if score.about]
    return "\n".join(
        [f"{words} ({spread}). What stands in brackets differs from a probe's defaults.", "", *about]
    ).strip()


def _warnings(results: dict[str, Any]) -> str:
    said = {"converged": "did not converge", "finite": "met features that are NaN or infinite"}
    lines = []
    for point in results.get("points", [results]):
        where = f" at {describe_point(point['values'])}" if "values" in point else ""
        lines += [f"- The loss of seed {seed}{where} diverged; it is left out." for seed in point.get("diverged", [])]
        lines += [
            f"- {probe} on {encoder} {sentence} for seed {seed}{where}."
            for encoder, probes in point["probe"].items()
            for probe, score in probes.items()
            for detail, sentence in said.items()
            for seed, fine in zip(point["seeds"], score.get(detail, []), strict=False)
            if not fine
        ]
    return "\n".join(lines)


def _pictures(workdir: pathlib.Path) -> str:
    pictures = sorted((workdir / "figures").glob("*.png"), key=lambda p: _FIRST.get(p.stem, 9))
    return "\n\n".join(f"![{picture.stem}](figures/{picture.name})" for picture in pictures)


def _numbers(results: dict[str, Any]) -> str:
    lines = ["| number | mean | std |", "| --- | ---: | ---: |"]
    for point in results.get("points", [results]):
        at = f", {describe_point(point['values'])}" if "values" in point else ""
        for group, where in (("train", "last epoch"), ("test", "test set"), ("distance", "end")):
            for name, score in point[group].items():
                std = "" if score["std"] is None else f"{score['std']:.3g}"
                lines.append(f"| {name.replace('_', ' ')} ({where}{at}) | {score['mean']:.5g} | {std} |")
    return "\n".join(lines)
