"""``report.md`` of a study."""

import pathlib
from typing import Any

from repcon_jax.figures.study.tables import study_tables
from repcon_jax.records.files import write_atomically


def write_study_report(workdir: pathlib.Path, results: dict[str, Any]) -> pathlib.Path:
    """Writes ``report.md`` with the tables and the pictures in ``figures/``.

    Args:
        workdir: of the study.
        results: of it.
    """
    seeds = ", ".join(map(str, results["seeds"]))
    over = f"the seeds {seeds}" if len(results["seeds"]) > 1 else f"{results['draws']} draws of training examples"
    pictures = sorted((workdir / "figures").glob("*.png"))
    sections = [
        f"# {results['title']}",
        f"Means and half of their 95% intervals (Student's t) over {over}; differences are paired. A claim holds or "
        "fails where the whole interval of the difference says so, and is undecided otherwise.",
        study_tables(results),
        *(f"![{picture.stem}](figures/{picture.name})" for picture in pictures),
    ]
    path = workdir / "report.md"
    write_atomically(path, "\n\n".join(sections) + "\n")
    return path
