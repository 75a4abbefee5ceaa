"""The numbers of iterative pruning as tables, and ``report.md``."""

import pathlib
from collections.abc import Sequence
from typing import Any

from repcon_jax.records.files import write_atomically

Rows = list[list[str]]


def lottery_table(results: dict[str, Any]) -> str:
    """Accuracy in percent, mean and standard deviation over seeds, by weights remaining and chain; then the studies.

    Args:
        results: of a lottery.
    """
    chains, labels = results["chains"], results["labels"]
    rows = [["weights remaining (%)", *(labels[name] for name in chains)]]
    for number, first in enumerate(next(iter(chains.values()))):
        cells = [_percent(rounds[number]["accuracy"]) for rounds in chains.values()]
        rows.append([_remaining(first["density"]), *cells])
    tables = [_markdown(rows)]
    for kind, write in _KINDS.items():
        studies = {text: study["entries"] for text, study in results["studies"].items() if study["kind"] == kind}
        if any(studies.values()):
            tables.append(_markdown(write(results, studies)))
    return "\n\n".join(tables)


def write_lottery_report(workdir: pathlib.Path, results: dict[str, Any]) -> pathlib.Path:
    """Writes ``report.md`` with the tables and the pictures in ``figures/``.

    Args:
        workdir: of the lottery.
        results: of it.
    """
    seeds = ", ".join(map(str, results["seeds"]))
    pictures = sorted((workdir / "figures").glob("*.png"))
    sections = [
        f"# {results['title']}",
        f"Accuracy on the {results['measured_on']} part in percent, mean ± standard deviation over the seeds {seeds}, "
        "by where every round starts.",
        lottery_table(results),
        *(f"![{picture.stem}](figures/{picture.name})" for picture in pictures),
    ]
    path = workdir / "report.md"
    write_atomically(path, "\n\n".join(sections) + "\n")
    return path


def _accuracy(results: dict[str, Any], studies: dict[str, list[dict[str, Any]]]) -> Rows:
    """What was trained in the tickets' place, beside the tickets."""
    rows = [["chain", "weights remaining (%)", "ticket", *studies]]
    for chain, number, density in _tickets(studies):
        ticket = results["chains"][chain][number]["accuracy"]
        cells = [_of(entries, chain, number) for entries in studies.values()]
        found = ["" if cell is None else _percent(cell["accuracy"]) for cell in cells]
        rows.append([results["labels"][chain], _remaining(density), _percent(ticket), *found])
    return rows


def _barrier(results: dict[str, Any], studies: dict[str, list[dict[str, Any]]]) -> Rows:
    rows = [["chain", "weights remaining (%)", "error barrier (%)", "instability (%)", "loss barrier"]]
    for entry in _entries(studies):
        error, loss = entry["error"], entry["supervised_loss"]
        cells = [_percent(error["barrier"]), _percent(error["instability"]), _number(loss["barrier"])]
        rows.append([results["labels"][entry["chain"]], _remaining(entry["density"]), *cells])
    return rows


def _agreement(results: dict[str, Any], studies: dict[str, list[dict[str, Any]]]) -> Rows:
    names = {
        "masks": "masks alike (%)",
        "masks_by_chance": "by chance (%)",
        "signs_at_start": "signs alike at the start (%)",
        "signs_at_end": "at the end (%)",
    }
    rows = [["chain", "weights remaining (%)", *names.values()]]
    for entry in _entries(studies):
        cells = ["" if entry[name] is None else _percent(entry[name]) for name in names]
        rows.append([results["labels"][entry["chain"]], _remaining(entry["density"]), *cells])
    return rows


def _size(results: dict[str, Any], studies: dict[str, list[dict[str, Any]]]) -> Rows:
    names = ["parameters", "kept by the mask", "after removal", "ms a batch", "after removal", "largest difference"]
    rows = [["chain", "weights remaining (%)", *names]]
    for entry in _entries(studies):
        numbers = [str(entry[name]) for name in ("parameters", "parameters_kept", "parameters_after_removal")]
        times = [f"{entry[name]:.2f}" for name in ("milliseconds", "milliseconds_after_removal")]
        cells = [*numbers, *times, f"{entry['largest_difference']:.1e}"]
        rows.append([results["labels"][entry["chain"]], _remaining(entry["density"]), *cells])
    return rows


_KINDS = {"accuracy": _accuracy, "transfer": _accuracy, "barrier": _barrier, "agreement": _agreement, "size": _size}


def _entries(studies: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [entry for entries in studies.values() for entry in entries]


def _tickets(studies: dict[str, list[dict[str, Any]]]) -> list[tuple[str, int, list[float]]]:
    """Chain, round and density of all that was studied, each once."""
    found = {(entry["chain"], entry["round"]): entry["density"] for entry in _entries(studies)}
    order = list(dict.fromkeys(chain for chain, _ in found))
    return [(*key, found[key]) for key in sorted(found, key=lambda key: (order.index(key[0]), key[1]))]


def _of(entries: Sequence[dict[str, Any]], chain: str, number: int) -> dict[str, Any] | None:
    return next((entry for entry in entries if (entry["chain"], entry["round"]) == (chain, number)), None)


def _markdown(rows: Rows) -> str:
    lines = [rows[0], ["---:"] * len(rows[0]), *rows[1:]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def _remaining(density: list[float]) -> str:
    return f"{100 * density[0]:.2f}"


def _percent(score: dict[str, Any]) -> str:
    spread = "" if score["std"] is None else f" ± {100 * score['std']:.2f}"
    return f"{100 * score['mean']:.2f}{spread}"


def _number(score: dict[str, Any]) -> str:
    spread = "" if score["std"] is None else f" ± {score['std']:.2g}"
    return f"{score['mean']:.3g}{spread}"
