"""How much of the machine is used: the rate of large matrix products, and that of our step beside it."""

from typing import Any

from benchmarks.measure import Spec, compare, rates, ratios, spread
from benchmarks.plan import Plan
from benchmarks.step_rate import competitors

GIGA = 1e9


def matmul_rates(plan: Plan, with_torch: bool) -> list[dict[str, Any]]:
    """GFLOP/s of square products by type, ours and PyTorch's.

    Args:
        plan: what to measure.
        with_torch: whether PyTorch is asked too.
    """
    size, dtypes = plan.matmul
    runners = {"ours": "ours:Matmul"} | ({"PyTorch": "torch_step:Matmul"} if with_torch else {})
    rows = []
    for dtype in dtypes:
        specs = {who: Spec(runner, {"size": size, "dtype": dtype}) for who, runner in runners.items()}
        for who, about in compare(specs, plan.repeats, plan.turn_seconds).items():
            row = {"size": size, "dtype": dtype, "who": who}
            if "not_measured" in about:
                rows.append(row | {"not_measured": about["not_measured"]})
                continue
            rows.append(row | {"gflops_per_second": rates(about["step_seconds"], 2 * size**3 / GIGA)})
    return rows


def utilisation(rates_by_type: list[dict[str, Any]], cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Share of the greatest measured matmul rate that each competitor's step reaches.

    The operations are those of the matrix products and convolutions of our step for the same number of members: of
    the one that computes the teacher, as PyTorch's does, unless a step of ours does not. On a GPU a float32 step is
    measured against TF32, which both frameworks use.
    """
    best: dict[str, float] = {}
    for row in rates_by_type:
        if "gflops_per_second" in row:
            best[row["dtype"]] = max(best.get(row["dtype"], 0.0), row["gflops_per_second"]["median"])
    rows = []
    for case in cases:
        dtype = "tf32" if case["dtype"] == "float32" and "tf32" in best else case["dtype"]
        whole = max((row.get("step_flops") or 0 for row in case["rows"]), default=0)
        for row in case["rows"]:
            if not whole or "turns" not in row or dtype not in best:
                continue
            operations = (row.get("step_flops") or whole) * row["members"] / GIGA
            reached = operations / row["seconds_per_step"]["median"]
            rows.append(
                {k: case[k] for k in ("encoder", "batch_size", "dtype")}
                | {k: row[k] for k in ("who", "members")}
                | {
                    "gflop_per_step": operations,
                    "gflops_per_second": reached,
                    "percent": 100 * reached / best[dtype],
                }
            )
    return rows


def sweep(plan: Plan) -> dict[str, Any]:
    """Hours of the alpha sweep of the paper, all extrapolated from measured steps.

    Args:
        plan: what to measure.
    """
    case, members = plan.sweep, plan.alphas * plan.seeds
    steps = 100 * (50_000 // case.batch_size)
    specs = competitors(plan, case, {})
    ours = specs["ours 1"]
    theirs = {name: spec for name, spec in specs.items() if not name.startswith("ours")}
    specs = {"ours": Spec(ours.runner, {**ours.options, "members": plan.seeds, "alphas": plan.alphas})} | theirs
    measured = compare(specs, plan.repeats, plan.sweep_seconds)
    rows, hours = [], {}
    for who, about in measured.items():
        if "not_measured" in about:
            rows.append({"who": who, "not_measured": about["not_measured"]})
            continue
        runs = 1 if who == "ours" else members
        seconds = about["step_seconds"]
        row = {"who": who, "runs": runs, "seconds_per_step": spread(seconds), "turns": seconds}
        hours[who] = [
            (runs * steps * s + 50_000 * (about.get("remember_seconds_per_image") or 0)) / 3600 for s in seconds
        ]
        row["hours_extrapolated"] = spread(hours[who])
        if who != "ours" and "ours" in hours:
            row["ours_is_faster"] = ratios(hours["ours"], hours[who])
        rows.append(row)
    return {
        "encoder": case.encoder,
        "batch_size": case.batch_size,
        "dtype": case.dtype,
        "alphas": plan.alphas,
        "seeds": plan.seeds,
        "members": members,
        "steps_per_run": steps,
        "rows": rows,
    }
