"""Our readers beside scikit-learn's, at the size of CIFAR10's features: seconds, objectives, memory, in one JSON file.

    python -m benchmarks.readers [--quick] [--out FILE]

Neighbours, a logistic regression tuned over ten values of C, and a linear support vector machine at one C. All see the
same features and the same split; each solver stops at its own default tolerance, and objectives are recomputed in
float64. A first call of each, which compiles, comes before the one that is timed.
"""

import argparse
import importlib.metadata
import json
import pathlib
import subprocess
import sys
from typing import Any

from benchmarks.measure import ROOT, Spec, compare
from benchmarks.readers_problem import GRID
from repcon_jax.records.files import write_json

FULL = {"train": 50_000, "test": 10_000, "features": 512}
QUICK = {"train": 500, "test": 100, "features": 16}
TOLERANCE = 1e-4  # the default of ours and of scikit-learn's
RESULTS = pathlib.Path(__file__).parent / "results" / "readers"


def main(arguments: list[str]) -> None:
    """Reads the command line, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds, to see that it works")
    parser.add_argument("--out", type=pathlib.Path, help="default: results/readers/KIND.json, by the machine's kind")
    chosen = parser.parse_args(arguments)
    about = subprocess.run([sys.executable, "-m", "benchmarks.machine"], cwd=ROOT, check=True, capture_output=True)
    machine = json.loads(about.stdout)
    machine["packages"] |= {name: importlib.metadata.version(name) for name in ("scikit-learn", "scipy")}
    size = QUICK if chosen.quick else FULL
    path = chosen.out or RESULTS / f"{machine['kind']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    command = f"python -m benchmarks.readers{' --quick' if chosen.quick else ''}"
    record: dict[str, Any] = {"command": command, "environment": machine, "size": size, "grid": GRID, "tasks": {}}
    for task, specs in tasks(size).items():
        print(f"{task} ...", flush=True)
        record["tasks"][task] = with_ratios(compare(specs, repeats=1, turn_seconds=0, at_once=False))
        write_json(path, record)
        print(table(record["tasks"][task]), flush=True)
    print(f"Written: {path}")


def tasks(size: dict[str, int]) -> dict[str, dict[str, Spec]]:
    """The competitors of each task; scikit-learn is the last of them.

    Args:
        size: numbers of training examples, test examples and features.
    """
    solved = size | {"tolerance": TOLERANCE}
    return {
        "neighbours": {
            "ours": Spec("readers_ours:Neighbours", size),
            "scikit-learn": Spec("readers_sklearn:Neighbours", size),
        },
        "logistic regression": {
            "ours": Spec("readers_ours:LogisticRegression", solved),
            "ours, tolerance 1e-5": Spec("readers_ours:LogisticRegression", solved | {"tolerance": 1e-5}),
            "scikit-learn": Spec("readers_sklearn:LogisticRegression", solved),
        },
        "support vector machine": {
            "ours": Spec("readers_ours:SupportVectors", solved),
            "scikit-learn": Spec("readers_sklearn:SupportVectors", solved),
        },
    }


def with_ratios(measured: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same with how many times faster than scikit-learn each is, and by how much its objectives are higher.

    >>> seconds = {"ours": {"step_seconds": [2.0], "objective": 5.0}}
    >>> seconds["scikit-learn"] = {"step_seconds": [8.0], "objective": 10.0}
    >>> with_ratios(seconds)["ours"]["times_as_fast"], with_ratios(seconds)["ours"]["objective_excess"]
    (4.0, -0.5)
    """
    reference = measured["scikit-learn"]
    for who, about in measured.items():
        if who == "scikit-learn" or "not_measured" in about or "not_measured" in reference:
            continue
        about["times_as_fast"] = reference["step_seconds"][0] / about["step_seconds"][0]
        if "objective" in about and about.get("C") == reference.get("C"):
            about["objective_excess"] = about["objective"] / reference["objective"] - 1
        if "objectives" in about:
            theirs = reference["objectives"]
            excesses = [value / theirs[C] - 1 for C, value in about["objectives"].items() if C in theirs]
            about["largest_objective_excess"] = max(excesses)
    return measured


def table(measured: dict[str, dict[str, Any]]) -> str:
    """A Markdown table of one task, one row a competitor."""
    columns = {
        "seconds": lambda about: about["step_seconds"][0],
        "times as fast": lambda about: about.get("times_as_fast"),
        "objective": lambda about: about.get("objective"),
        "above scikit-learn's": lambda about: about.get("objective_excess"),
        "at worst along the grid": lambda about: about.get("largest_objective_excess"),
        "accuracy": lambda about: about["accuracy"],
        "peak memory, GB": lambda about: (about["peak_bytes_running"] or about["peak_bytes_first_step"]) / 1e9,
    }
    lines = ["| who | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    for who, about in measured.items():
        if "not_measured" in about:
            lines.append(f"| {who} | not measured: {about['not_measured']} |")
            continue
        cells = [column(about) for column in columns.values()]
        lines.append(f"| {who} | " + " | ".join("-" if cell is None else f"{cell:.4g}" for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
