"""Measures our speed against PyTorch's and writes one JSON file, one Markdown page and its pictures.

    python -m experiments.benchmarks.run [--out FOLDER] [--kind NAME] [--quick]

Writes ``FOLDER/results/KIND.json``, ``FOLDER/results/KIND.md`` and ``FOLDER/figures/KIND_*.png``. The kind is that of
the machine, such as cpu_2cores or nvidia_h200; on a GPU the plan is the paper's size.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from experiments.benchmarks import compile_time, landscape, probes, scaling, step_rate, utilisation
from experiments.benchmarks.measure import ROOT, cache_directories
from experiments.benchmarks.plan import Plan, plan_for
from experiments.benchmarks.report import write_report
from repcon_jax.files import write_json


def main(arguments: list[str]) -> None:
    """Reads the command line, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="where to write")
    parser.add_argument("--kind", default="auto", help="name of the results; auto is the machine's")
    parser.add_argument("--quick", action="store_true", help="seconds, to see that it works; ours only")
    chosen = parser.parse_args(arguments)
    machine = _from_process("machine")
    plan = plan_for(machine["backend"], quick=chosen.quick)
    kind = machine["kind"] if chosen.kind == "auto" else chosen.kind
    record = {"kind": kind, "quick": chosen.quick, "environment": machine, "plan": dataclasses.asdict(plan)}
    record |= run(plan, with_torch=machine["torch"] is not None and not chosen.quick)
    results = chosen.out / "results"
    results.mkdir(parents=True, exist_ok=True)
    write_json(results / f"{kind}.json", record)
    print(f"Report: {write_report(results / f'{kind}.json')}")


def run(plan: Plan, *, with_torch: bool) -> dict[str, Any]:
    """Every section's measurements, and the seconds that each took.

    Args:
        plan: what to measure.
        with_torch: whether PyTorch is installed.
    """
    sections: dict[str, Any] = {}
    seconds: dict[str, float] = {}

    def section(name: str, measure: Callable[[], Any]) -> None:
        print(f"{name} ...", flush=True)
        began = time.monotonic()
        sections[name] = measure()
        seconds[name] = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{name} took {seconds[name]:.0f} s; {used.ru_utime + used.ru_stime:.0f} processor seconds so far",
            flush=True,
        )

    # Wrong networks are found before any time is spent on them.
    section("agreement", lambda: _from_process("agreement", *plan.agreement) if with_torch else [])
    with cache_directories() as caches:
        section("step_rate", lambda: step_rate.measure(plan, caches))
        section("compile_time", lambda: compile_time.measure(plan, caches, sections["step_rate"]))
        section("sweep", lambda: utilisation.sweep(plan, caches))
    section("matmul", lambda: utilisation.matmul_rates(plan, with_torch))
    section("utilisation", lambda: utilisation.utilisation(sections["matmul"], sections["step_rate"]))
    section("scaling", lambda: scaling.measure(plan))
    section("probing", lambda: probes.measure(plan, with_torch))
    section("landscape", landscape.measure)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "sections": sections,
        "section_seconds": seconds,
        "total_seconds": sum(seconds.values()),
        "processor_seconds": used.ru_utime + used.ru_stime,
    }


def _from_process(module: str, *arguments: str) -> Any:
    """The JSON that a module of this folder prints last."""
    command = [sys.executable, "-m", f"experiments.benchmarks.{module}", *arguments]
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(sys.argv[1:])
