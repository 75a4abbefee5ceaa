"""Images per second of the distillation step, by encoder, batch and population; memory and first steps beside it."""

from typing import Any

from benchmarks.measure import Spec, compare, rates, ratios, spread
from benchmarks.plan import Case, Plan

MEGABYTE = 1e6
SAME_WORK = "ours, teacher computed"


def measure(plan: Plan, caches: dict[str, str]) -> list[dict[str, Any]]:
    """One entry a case, each with the rows of its competitors.

    Args:
        plan: what to measure.
        caches: the variables of ``cache_directories``, so that the first steps are cold.
    """
    cases = []
    for case in plan.cases:
        print(f"  {case.encoder}, batch {case.batch_size}, {case.dtype}", flush=True)
        measured = compare(competitors(plan, case, caches), plan.repeats, plan.turn_seconds, at_once=not case.starts)
        cases.append(describe(case, measured))
    return cases


def competitors(plan: Plan, case: Case, caches: dict[str, str]) -> dict[str, Spec]:
    """Our populations, ``ours 1``, ``ours 2``, ..., ours with PyTorch's work in every step, and PyTorch's modes."""
    common = {
        "encoder": case.encoder,
        "batch_size": case.batch_size,
        "outputs": plan.outputs,
        "num_images": plan.num_images,
        "dtype": case.dtype,
    }
    steps = plan.steps_per_call
    ours = {f"ours {m}": Spec("ours:Training", common | {"members": m}, caches, steps) for m in case.members}
    ours[f"{SAME_WORK} 1"] = Spec("ours:Training", common | {"remember": False}, caches, steps)
    theirs = {
        f"PyTorch {rival}": Spec("torch_step:Training", common | {"compiled": rival == "compile"}, caches)
        for rival in case.rivals
    }
    return ours | theirs


def describe(case: Case, measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Rates and ratios of a case from what ``compare`` found.

    A PyTorch user runs the members of a population one after another, so a population is compared with as many of
    PyTorch's steps as it has members.
    """
    rows = []
    for name, about in measured.items():
        is_ours = name.startswith("ours")
        who, _, size = name.rpartition(" ") if is_ours else (name, "", "1")
        members = int(size)
        row = {"who": who, "members": members}
        if "not_measured" in about:
            rows.append(row | {"not_measured": about["not_measured"]})
            continue
        seconds, once = about["step_seconds"], about.get("remember_seconds_per_image")
        rivals = {n: a["step_seconds"] for n, a in measured.items() if n.startswith("PyTorch") and "step_seconds" in a}
        row |= {
            "images_per_second": rates(seconds, members * case.batch_size),
            "seconds_per_step": spread(seconds),
            "turns": seconds,
            "steps_per_turn": about["steps"],
            "first_step_seconds": about["first_step_seconds"],
            "parameters": about["parameters"],
            "step_flops": about.get("step_flops"),
            "remember_milliseconds_per_image": once and 1000 * once,
            "megabytes": _megabytes(about),
        }
        if is_ours:
            row["faster_than"] = {n: ratios(seconds, [members * s for s in theirs]) for n, theirs in rivals.items()}
        rows.append(row)
    _check_counts(case, rows)
    return {"encoder": case.encoder, "batch_size": case.batch_size, "dtype": case.dtype, "rows": rows}


def _check_counts(case: Case, rows: list[dict[str, Any]]) -> None:
    counts = {row["parameters"] for row in rows if "parameters" in row}
    if len(counts) > 1:
        raise ValueError(f"the networks called {case.encoder} differ: they have {sorted(counts)} parameters.")


def _megabytes(about: dict[str, Any]) -> dict[str, float | None]:
    sizes = {
        "after_imports": about["imported_bytes"],
        "peak_until_first_step": about["peak_bytes_first_step"],
        "peak_running": about["peak_bytes_running"],
        "program": sum(about.get("program_bytes", {}).values()) or None,
        "device_peak": about["device_peak_bytes"],
    }
    return {name: count and count / MEGABYTE for name, count in sizes.items()}
