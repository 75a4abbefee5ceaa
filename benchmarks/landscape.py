"""Throughput of the landscape room: KL to a teacher at points of a plane, beside a PyTorch loop over the points."""

from typing import Any

from benchmarks.measure import Spec, compare
from benchmarks.plan import Plan
from benchmarks.probes import rows_of


def measure(plan: Plan, with_torch: bool) -> list[dict[str, Any]]:
    """One entry a task; ours is the first of its rows.

    Args:
        plan: what to measure.
        with_torch: whether PyTorch is a competitor.
    """
    encoder, batch_size, points = plan.plane
    options = {"encoder": encoder, "batch_size": batch_size, "outputs": plan.outputs, "points": points}
    specs = {"ours": Spec("ours:Landscape", options)}
    if with_torch:
        specs["PyTorch"] = Spec("torch_landscape:Landscape", options)
    measured = compare(specs, plan.repeats, plan.turn_seconds, at_once=False)
    return [{"task": f"{encoder}, {points} points, {2 * batch_size} images", "rows": rows_of(measured, points)}]
