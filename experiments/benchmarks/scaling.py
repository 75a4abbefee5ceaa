"""Weak and strong scaling over devices, of members and of a batch; simulated devices share the CPU's cores."""

from typing import Any

from experiments.benchmarks.measure import Spec, compare, rates, ratios, spread
from experiments.benchmarks.plan import Plan


def measure(plan: Plan) -> dict[str, list[dict[str, Any]]] | None:
    """Rows by number of devices; None where there is one device.

    ``weak`` has one member a device, ``strong`` as many members as the most devices, ``batch`` one member whose batch
    is laid over the devices.
    """
    if plan.scaling is None:
        return None
    members = {
        "weak": {n: n for n in plan.devices},
        "strong": dict.fromkeys(plan.devices, max(plan.devices)),
        "batch": dict.fromkeys(plan.devices, 1),
    }
    return {kind: _rows(plan, kind, of_kind) for kind, of_kind in members.items()}


def _rows(plan: Plan, kind: str, members: dict[int, int]) -> list[dict[str, Any]]:
    print(f"  {kind}", flush=True)
    axis = "data_devices" if kind == "batch" else "devices"
    found = compare({str(n): _spec(plan, axis, n, m) for n, m in members.items()}, plan.repeats, plan.turn_seconds)
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


def _spec(plan: Plan, axis: str, devices: int, members: int) -> Spec:
    case = plan.scaling
    options = {
        "encoder": case.encoder,
        "batch_size": case.batch_size,
        "outputs": plan.outputs,
        "num_images": plan.num_images,
        "dtype": case.dtype,
        "members": members,
        axis: devices,
    }
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"} if plan.simulated else {}
    return Spec("ours:Training", options, flags)
