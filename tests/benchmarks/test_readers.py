"""The benchmark of readers runs, and both sides solve the same problem."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT))

from benchmarks.readers import table, with_ratios  # noqa: E402


@pytest.mark.slow
def test_a_quick_run_writes_what_both_sides_reached(tmp_path):
    command = [sys.executable, "-m", "benchmarks.readers", "--quick", "--out", str(tmp_path / "here.json")]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}, check=True)
    record = json.loads((tmp_path / "here.json").read_text())
    assert record["environment"]["commit"]
    for rows in record["tasks"].values():
        assert {"ours", "scikit-learn"} <= rows.keys()
        for about in rows.values():
            assert about["step_seconds"][0] > 0
            assert about["accuracy"] == pytest.approx(rows["scikit-learn"]["accuracy"], abs=0.05)
    logistic = record["tasks"]["logistic regression"]
    assert logistic["ours"]["objectives"].keys() == logistic["scikit-learn"]["objectives"].keys()
    for C, value in logistic["ours"]["objectives"].items():
        assert value == pytest.approx(logistic["scikit-learn"]["objectives"][C], rel=5e-3)


def test_a_competitor_that_cannot_run_is_said_in_the_table():
    rows = {"ours": {"not_measured": "no memory"}, "scikit-learn": {"not_measured": "no memory"}}
    assert table(with_ratios(rows)).count("not measured: no memory") == 2
