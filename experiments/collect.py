"""Puts the results of a finished run into an experiment's folder, so that every committed number has its source.

    python experiments/collect.py runs/quickstart experiments/random_teachers quickstart

writes ``results/NAME.json`` (results, config, environment with command, commit, hardware), ``figures/NAME_*.png`` and
the run's table between the lines ``<!-- table: NAME -->`` and ``<!-- end -->`` of every README that has them.
"""

import pathlib
import re
import shutil
import sys

from repcon_jax.records.files import read_json, write_atomically, write_json
from repcon_jax.tasks import task_of


def collect(workdir: pathlib.Path, folder: pathlib.Path, name: str) -> None:
    """Copies numbers and pictures of the run in ``workdir`` to ``folder`` under ``name``."""
    record = {part: read_json(workdir / f"{part}.json") for part in ("results", "config", "environment")}
    for kind in ("results", "figures"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    write_json(folder / "results" / f"{name}.json", record)
    # The interactive pages are left out: each holds all of plotly.
    for picture in sorted((workdir / "figures").glob("*.png")):
        shutil.copyfile(picture, folder / "figures" / f"{name}_{picture.name}")
    table = task_of(record["config"]).table(record["results"])
    for readme in (folder / "README.md", folder.parents[1] / "README.md"):
        write_atomically(readme, fill_table(readme.read_text(), name, table))


def fill_table(text: str, name: str, table: str) -> str:
    """The text with the table of run ``name`` between its marks, where it has them."""
    if f"<!-- table: {name} -->" in text and "<!-- end -->" not in text.split(f"<!-- table: {name} -->")[1]:
        raise ValueError(f"the mark of table {name} has no <!-- end -->")
    marks = rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)"
    return re.sub(marks, lambda mark: f"{mark[1]}\n{table}\n\n{mark[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    collect(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).absolute(), sys.argv[3])
