"""Weak and strong scaling of a population over devices; simulated ones share the CPU's cores."""

from typing import Any

from experiments.benchmarks.measure import Spec, compare, rates, ratios, spread
from experiments.benchmarks.plan import Plan


def measure(plan: Plan) -> dict[str, list[dict[str, Any]]] | None:
    """Rows by number of devices: one member a device (weak), and as many members as the most devices (strong)."""
    if plan.scaling is None:
        return None
    most = max(plan.devices)
    print("  weak", flush=True)
    weak = _rows(plan, {n: n for n in plan.devices})
    print("  strong", flush=True)
    return {"weak": weak, "strong": _rows(plan, dict.fromkeys(plan.devices, most))}


def _rows(plan: Plan, members: dict[int, int]) -> list[dict[str, Any]]:
    found = compare({str(n): _spec(plan, n, m) for n, m in members.items()}, plan.repeats, plan.turn_seconds)
    first = next((about for about in found.values() if "step_seconds" in about), None)
    rows = []
    for (n, m), about in zip(members.items(), found.values(), strict=True):
        row: dict[str, Any] = {"devices": n, "members": m}
        if "not_measured" in about:
            rows.append(row | {"not_measured": about["not_measured"]})
            continue
        seconds = about["step_seconds"]
        factor = m / next(iter(members.values()))
        rows.append(
            row
            | {
                "images_per_second": rates(seconds, m * plan.scaling.batch_size),
                "seconds_per_step": spread(seconds),
                "turns": seconds,
                "rate_over_first": ratios(seconds, [factor * s for s in first["step_seconds"]]),
            }
        )
    return rows


def _spec(plan: Plan, devices: int, members: int) -> Spec:
    case = plan.scaling
    options = {
        "encoder": case.encoder,
        "batch_size": case.batch_size,
        "outputs": plan.outputs,
        "num_images": plan.num_images,
        "dtype": case.dtype,
        "members": members,
        "devices": devices,
    }
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"} if plan.simulated else {}
    return Spec("ours:Training", options, flags)
