"""The numbers of iterative pruning as tables, and ``report.md``."""

import pathlib
from collections.abc import Iterable
from typing import Any

from repcon_jax.figures.lottery.kind import kinds_of, remaining, ticket_score
from repcon_jax.figures.numbers import in_words, mean_and_std
from repcon_jax.figures.tables import markdown
from repcon_jax.records.files import write_atomically


def lottery_table(results: dict[str, Any]) -> str:
    """Accuracy, mean and standard deviation over seeds, by weights remaining and chain; then the studies.

    Args:
        results: of a lottery.
    """
    chains, labels, score = results["chains"], results["labels"], ticket_score(results)
    rows = [["weights remaining (%)", *(labels[name] for name in chains)]]
    for number, first in enumerate(next(iter(chains.values()))):
        cells = [mean_and_std(rounds[number]["accuracy"], score) for rounds in chains.values()]
        rows.append([remaining(first), *cells])
    return "\n\n".join([markdown(rows), *(markdown(kind.table(results, of)) for kind, of in kinds_of(results))])


def write_lottery_report(
    workdir: pathlib.Path, results: dict[str, Any], pictures: Iterable[pathlib.Path]
) -> pathlib.Path:
    """Writes ``report.md`` with the tables and the pictures.

    Args:
        workdir: of the lottery.
        results: of it.
        pictures: in the folder ``figures/`` of the work directory.
    """
    seeds = ", ".join(map(str, results["seeds"]))
    measured = in_words([ticket_score(results)])
    sections = [
        f"# {results['title']}",
        f"On the {results['measured_on']} part: {measured}, mean ± standard deviation over the seeds {seeds}, by where "
        "every round starts.",
        lottery_table(results),
        *(f"![{picture.stem}](figures/{picture.name})" for picture in sorted(pictures)),
    ]
    path = workdir / "report.md"
    write_atomically(path, "\n\n".join(sections) + "\n")
    return path
