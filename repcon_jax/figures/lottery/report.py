"""The numbers of iterative pruning as a table, and ``report.md``."""

import pathlib
from typing import Any

from repcon_jax.files import write_atomically


def lottery_table(results: dict[str, Any]) -> str:
    """Accuracy in percent, mean and standard deviation over seeds, by weights remaining and start.

    Args:
        results: of a lottery.
    """
    starts = results["starts"]
    lines = [["weights remaining (%)", *starts], ["---:"] * (len(starts) + 1)]
    for number, first in enumerate(next(iter(starts.values()))):
        cells = [_percent(rounds[number]["accuracy"]) for rounds in starts.values()]
        lines.append([f"{100 * first['density'][0]:.2f}", *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def write_lottery_report(workdir: pathlib.Path, results: dict[str, Any]) -> pathlib.Path:
    """Writes ``report.md`` with the table and the pictures in ``figures/``.

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


def _percent(score: dict[str, Any]) -> str:
    spread = "" if score["std"] is None else f" ± {100 * score['std']:.2f}"
    return f"{100 * score['mean']:.2f}{spread}"
