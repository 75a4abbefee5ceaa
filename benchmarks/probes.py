"""Throughput of the probing room: features of images, and fits of the probes, beside PyTorch and scikit-learn."""

from typing import Any

from benchmarks.measure import Spec, compare, rates, ratios, spread
from benchmarks.plan import Plan

FEATURES = 512


def measure(plan: Plan, with_torch: bool) -> list[dict[str, Any]]:
    """One entry a task; ours is the first of its rows.

    Args:
        plan: what to measure.
        with_torch: whether PyTorch is a competitor.
    """
    sizes = {"train": plan.probe_train, "features": FEATURES}
    scored = sizes | {"test": plan.probe_test}
    encoder, batch_size = plan.features
    extraction = {"encoder": encoder, "batch_size": batch_size}
    sklearn = Spec("sklearn_probes:Neighbours", scored)
    tasks = {
        "features": {"ours": Spec("ours:Features", extraction), "PyTorch": Spec("torch_step:Features", extraction)},
        "linear": {
            "ours": Spec("ours:Probe", scored | {"name": "linear"}),
            "PyTorch": Spec("torch_step:LinearProbe", sizes),
        },
        "knn": {"ours": Spec("ours:Probe", scored | {"name": "knn"}), "scikit-learn": sklearn},
    }
    entries = []
    for task in plan.probes:
        print(f"  {task}", flush=True)
        specs = {who: spec for who, spec in tasks[task].items() if with_torch or who != "PyTorch"}
        measured = compare(specs, plan.repeats, plan.turn_seconds, at_once=False)
        units = {"features": batch_size, "linear": 1, "knn": plan.probe_test}[task]
        entries.append({"task": task, "rows": rows_of(measured, units)})
    return entries


def rows_of(measured: dict[str, dict[str, Any]], units: int) -> list[dict[str, Any]]:
    """One row a competitor.

    Args:
        measured: from ``compare``.
        units: what a step does, such as examples, so that rates mean the same for all.
    """
    rows = []
    for who, about in measured.items():
        if "not_measured" in about:
            rows.append({"who": who, "not_measured": about["not_measured"]})
            continue
        seconds, ours = about["step_seconds"], measured["ours"].get("step_seconds")
        row = {"who": who, "seconds": spread(seconds), "per_second": rates(seconds, units), "turns": seconds}
        if who != "ours" and ours:
            row["ours_is_faster"] = ratios(ours, seconds)
        rows.append(row | {"first_call_seconds": about["first_step_seconds"]})
    return rows
