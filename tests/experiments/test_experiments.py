"""Every number of experiments/ and of the README's tables is that of the committed results."""

import json
import pathlib
import re

import pytest

from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.run.config import parse_config
from repcon_jax.tasks import task_of

ROOT = pathlib.Path(__file__).parents[2]
READMES = [ROOT / "README.md", *sorted((ROOT / "experiments").glob("*/README.md"))]
TABLES = [
    pytest.param(table, name, id=f"{readme.parent.name}:{name}")
    for readme in READMES
    for name, table in re.findall(r"<!-- table: (\w+) -->\n(.*?)<!-- end -->", readme.read_text(), re.DOTALL)
]


@pytest.mark.parametrize(("table", "name"), TABLES)
def test_a_table_is_that_of_its_results(table, name):
    (file,) = (ROOT / "experiments").glob(f"*/results/{name}.json")
    record = json.loads(file.read_text())
    task = task_of(record["config"])
    assert table.strip() == task.table(record["results"])
    assert record["environment"]["commit"]
    assert record["environment"]["starts"][-1]["command"]


def test_there_are_tables():
    assert len(TABLES) >= 4


def test_pictures_and_links_are_there():
    for readme in READMES[1:]:
        for target in re.findall(r"\]\(([^)#]+)\)", readme.read_text()):
            assert (readme.parent / target).exists(), target


def test_the_committed_quickstart_is_todays_config():
    from repcon_jax.run.command_line import load_config

    record = json.loads((ROOT / "experiments" / "random_teachers" / "results" / "quickstart.json").read_text())
    for field, registry in {"encoder": ENCODERS, "head": HEADS, "objective": OBJECTIVES}.items():
        # An option that is younger than the record had its default value.
        record["config"][field] = registry.options(record["config"][field]["name"]) | record["config"][field]
    assert parse_config(record["config"]) == parse_config(load_config(str(ROOT / "configs" / "quickstart.py")))


def test_a_missing_end_mark_is_refused():
    import runpy

    fill_table = runpy.run_path(str(ROOT / "experiments" / "collect.py"))["fill_table"]
    assert fill_table("a <!-- table: x -->\nold\n<!-- end --> b", "x", "new") == (
        "a <!-- table: x -->\n\nnew\n\n<!-- end --> b"
    )
    with pytest.raises(ValueError, match="has no <!-- end -->"):
        fill_table("a <!-- table: x --> b", "x", "new")
