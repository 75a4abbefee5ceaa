"""Seconds until the first step is done: cold, and in a second process that finds the compilation caches filled."""

from typing import Any

from benchmarks.measure import NotMeasuredError, Spec, Worker
from benchmarks.plan import Plan
from benchmarks.step_rate import SAME_WORK, competitors


def measure(plan: Plan, caches: dict[str, str], cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a single run of every case whose first steps are timed.

    Args:
        plan: what to measure.
        caches: the variables that ``step_rate.measure`` had, whose processes filled the caches.
        cases: what it found; its first steps are the cold ones.
    """
    rows = []
    for case, about in zip(plan.cases, cases, strict=True):
        if not case.starts:
            continue
        specs = competitors(plan, case, caches)
        for spec, cold in zip(specs.values(), about["rows"], strict=True):
            if "not_measured" in cold or cold["who"] in ("PyTorch eager", SAME_WORK) or cold["members"] > 1:
                continue
            row = {"encoder": case.encoder, "batch_size": case.batch_size, "dtype": case.dtype}
            row |= {"who": cold["who"], "members": cold["members"], "cold_seconds": cold["first_step_seconds"]}
            rows.append(row | {"cached_seconds": _first_step(spec)})
    return rows


def _first_step(spec: Spec) -> float | None:
    worker = Worker(spec)
    try:
        worker.wait()
        return worker.finish()["first_step_seconds"]
    except NotMeasuredError:
        return None
    finally:
        worker.kill()
