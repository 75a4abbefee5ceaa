"""Weak and strong scaling over devices, of members and of a batch; simulated devices share the CPU's cores."""

from typing import Any

from benchmarks.measure import Spec, compare, rates, ratios, spread
from benchmarks.plan import Plan


def measure(plan: Plan) -> dict[str, list[dict[str, Any]]] | None:
    """Rows by number of devices; None where there is one device.

    ``weak`` has one member a device, ``strong`` as many members as the most devices, ``batch`` one member whose batch
    is laid over the devices.
    """
    if plan.scaling is None:
        return None
    most = max(plan.devices)
    kinds = {
        "weak": [("devices", n, n) for n in plan.devices],
        "strong": [("devices", n, most) for n in plan.devices],
        "batch": [("data_devices", n, 1) for n in plan.devices],
    }
    # What several of them measure takes its turns once, and one device is the same along both axes.
    named = {kind: [_name(*layout) for layout in layouts] for kind, layouts in kinds.items()}
    layouts = {_name(*layout): layout for of_kind in kinds.values() for layout in of_kind}
    specs = {name: _spec(plan, *layout) for name, layout in layouts.items()}
    measured = compare(specs, plan.repeats, plan.turn_seconds)
    return {kind: _rows(plan, [(layouts[name], measured[name]) for name in names]) for kind, names in named.items()}


def _name(axis: str, devices: int, members: int) -> str:
    return f"{members} members, {devices} {axis if devices > 1 else 'device'}"


def _rows(plan: Plan, measured: list[tuple[tuple[str, int, int], dict[str, Any]]]) -> list[dict[str, Any]]:
    first = next((about for _, about in measured if "step_seconds" in about), None)
    rows = []
    for (_, devices, members), about in measured:
        row: dict[str, Any] = {"devices": devices, "members": members}
        if "not_measured" in about:
            rows.append(row | {"not_measured": about["not_measured"]})
            continue
        seconds = about["step_seconds"]
        factor = members / measured[0][0][2]
        rows.append(
            row
            | {
                "images_per_second": rates(seconds, members * plan.scaling.batch_size),
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
