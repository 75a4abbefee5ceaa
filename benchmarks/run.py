"""Measures our speed against PyTorch's and writes one JSON file, one Markdown page and its pictures.

    python -m benchmarks.run [--out FOLDER] [--kind NAME] [--quick | --long] [--sections steps sweep ...]

Writes ``FOLDER/results/KIND.json``, ``FOLDER/results/KIND.md`` and ``FOLDER/figures/KIND_*.png``. The kind is that of
the machine, such as cpu_2cores or nvidia_h200; on a GPU the plan is the paper's size. Where time is
limited, sections can be measured one start after the other; those of another commit or machine are not kept.
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

from benchmarks import compile_time, landscape, probes, scaling, step_rate, utilisation
from benchmarks.measure import ROOT, cache_directories
from benchmarks.plan import Plan, plan_for
from benchmarks.report import write_report
from repcon_jax.machine import cpu_compiler
from repcon_jax.records.files import read_json, write_json


def main(arguments: list[str]) -> None:
    """Reads the command line, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="where to write")
    parser.add_argument("--kind", default="auto", help="name of the results; auto is the machine's")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="seconds, to see that it works; ours only")
    size.add_argument("--long", action="store_true", help="on a CPU: batch 256 too")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS, help="the rest as it was before")
    chosen = parser.parse_args(arguments)
    cpu_compiler.enable()  # here too, so that the results name the flag
    machine = _from_process("machine")
    plan = plan_for(machine["backend"], quick=chosen.quick, long=chosen.long)
    kind = machine["kind"] if chosen.kind == "auto" else chosen.kind
    record = {"kind": kind, "quick": chosen.quick, "long": chosen.long}
    record |= {"environment": machine, "plan": dataclasses.asdict(plan)}
    path = chosen.out / "results" / f"{kind}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record |= {"sections": {}, "section_seconds": {}, "processor_seconds": {}} | _kept(path, record, chosen.sections)
    with_torch = machine["torch"] is not None and not chosen.quick
    for name in chosen.sections:
        _measure(record, name, measurements(plan, with_torch)[name])
        write_json(path, record)
    if missing := set(SECTIONS) - set(record["sections"]):
        print(f"No page yet: {', '.join(sorted(missing))} not measured; see --sections.")
    else:
        print(f"Page: {write_report(path)}")


def measurements(plan: Plan, with_torch: bool) -> dict[str, Callable[[], Any]]:
    """What measures each section.

    Args:
        plan: what to measure.
        with_torch: whether PyTorch is installed.
    """
    return {
        # Wrong networks are found before any time is spent on them.
        "agreement": lambda: _from_process("agreement", *plan.agreement) if with_torch else [],
        "steps": lambda: _steps(plan),
        "sweep": lambda: utilisation.sweep(plan),
        "matmul": lambda: utilisation.matmul_rates(plan, with_torch),
        "scaling": lambda: scaling.measure(plan),
        "probing": lambda: probes.measure(plan, with_torch),
        "landscape": lambda: landscape.measure(plan, with_torch),
    }


SECTIONS = tuple(measurements(plan_for("cpu"), with_torch=False))


def _steps(plan: Plan) -> dict[str, Any]:
    with cache_directories() as caches:
        cases = step_rate.measure(plan, caches)
        return {"cases": cases, "compile_time": compile_time.measure(plan, caches, cases)}


def _measure(record: dict[str, Any], name: str, measure: Callable[[], Any]) -> None:
    print(f"{name} ...", flush=True)
    began, used = time.monotonic(), _processor_seconds()
    sections = record["sections"]
    sections[name] = measure()
    record["section_seconds"][name] = time.monotonic() - began
    record["processor_seconds"][name] = _processor_seconds() - used
    record["total_seconds"] = sum(record["section_seconds"].values())
    if "matmul" in sections and "steps" in sections:
        record["utilisation"] = utilisation.utilisation(sections["matmul"], sections["steps"]["cases"])
    print(f"{name} took {record['section_seconds'][name]:.0f} s", flush=True)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _kept(path: pathlib.Path, record: dict[str, Any], measured: tuple[str, ...]) -> dict[str, Any]:
    """Sections that an earlier start measured with the same code on the same machine."""
    if set(measured) == set(SECTIONS) or not path.exists():
        return {}
    earlier = read_json(path, "environment", "plan", "sections")
    if _machine(earlier) != _machine(record) or earlier["plan"] != json.loads(json.dumps(record["plan"])):
        return {}
    return {name: earlier[name] for name in ("sections", "section_seconds", "processor_seconds")}


def _machine(record: dict[str, Any]) -> dict[str, Any]:
    about = record["environment"]
    # The results of the earlier start may themselves have made the checkout dirty.
    return {**about, "commit": about["commit"].removesuffix("-dirty"), "load_average_before": None}


def _from_process(module: str, *arguments: str) -> Any:
    """The JSON that a module of this folder prints last."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(sys.argv[1:])
