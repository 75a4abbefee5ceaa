"""From the JSON of a run to a Markdown page; nothing is computed here, every number is one of the JSON's.

python -m benchmarks.report benchmarks/results/cpu_2cores.json
"""

import pathlib
import sys
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.figures import populations, write_figures
from repcon_jax.records.files import read_json, write_atomically

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str]]


def number(value: float | None) -> str:
    """Three significant digits, and never an exponent where the number is at least a thousandth.

    >>> number(12345.6), number(3.14159), number(0.0123), number(8), number(None)
    ('12346', '3.14', '0.0123', '8', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def between(spread: Row | None) -> str:
    """Median and quartiles."""
    if spread is None:
        return "-"
    return f"{number(spread['median'])} ({number(spread['lower_quartile'])} to {number(spread['upper_quartile'])})"


def table(columns: Iterable[Column], rows: Iterable[Row]) -> str:
    """A Markdown table; a row that could not be measured says why in its last cell."""
    columns = list(columns)
    lines = [[title for title, _ in columns], ["---"] * len(columns)]
    for row in rows:
        reason = row.get("not_measured")
        cells = [_cell(cell, row) for _, cell in columns]
        lines.append([*cells[:-1], f"not measured: {reason}"] if reason else cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(cell: Callable[[Row], str], row: Row) -> str:
    try:
        return cell(row)
    except (KeyError, TypeError):
        return "-"


def _field(name: str) -> Callable[[Row], str]:
    return lambda row: row[name] if isinstance(row[name], str) else number(row[name])


def _spread(name: str) -> Callable[[Row], str]:
    return lambda row: between(row[name])


def _within(group: str, name: str) -> Callable[[Row], str]:
    return lambda row: number(row[group][name])


def _versus(name: str) -> Callable[[Row], str]:
    return lambda row: between(row["faster_than"][name])


CASE = [("encoder", _field("encoder")), ("batch", _field("batch_size")), ("type", _field("dtype"))]
WHO = [("who", _field("who")), ("members", _field("members"))]


def markdown(record: Row) -> str:
    """The whole page."""
    sections = record["sections"]
    steps = [
        {k: case[k] for k in ("encoder", "batch_size", "dtype")} | row
        for case in sections["steps"]["cases"]
        for row in case["rows"]
    ]
    parts = [
        *_head(record),
        *_agreement(sections["agreement"]),
        *_step_rate(record, steps),
        *_population(record, sections["sweep"]),
        *_utilisation(sections["matmul"], record["utilisation"]),
        *_memory(steps),
        *_compile_time(sections["steps"]["compile_time"]),
        *_scaling(record, sections["scaling"]),
        *_tasks(
            "Probing",
            "`features`: embeddings, images per second; `linear`: fits of the paper's probe (ours scores the test set "
            "too); `knn`: test examples per second. A first call compiles.",
            sections["probing"],
        ),
        *_tasks(
            "Landscape",
            "KL to a teacher at points of the plane through three networks, points per second; the teacher's outputs "
            "are computed once by PyTorch and once for all points by us. A first call compiles.",
            sections["landscape"],
        ),
        *_others(record),
    ]
    return "\n\n".join(parts) + "\n"


def _head(record: Row) -> list[str]:
    about, plan = record["environment"], record["plan"]
    quick = (
        ["**A quick look that everything works; these numbers say nothing about speed.**"] if record["quick"] else []
    )
    command = f"make bench{' BENCH_FLAGS=--long' * record['long']}"
    return [
        f"# Benchmarks on {record['kind']}",
        *quick,
        f"{len(about['devices'])} x {about['devices'][0]}, {about['cpu_model']}, {about['cpu_count']} cores; Python "
        f"{about['python']}, JAX {about['packages']['jax']}, PyTorch {about['torch'] or 'not installed'}; commit "
        f"{about['commit']}. The load average was {number(about['load_average_before'])} before it began; it took "
        f"{number(record['total_seconds'])} s. Written by `{command}` from `{record['kind']}.json`.",
        "Every competitor is a process of its own. They take turns, A B C A B C ..., "
        f"{plan['repeats']} turns each, and a turn is as many steps as take about {number(plan['turn_seconds'])} s, at "
        f"least one. A turn of our training is one call, here of {plan['steps_per_call']} steps or more, in a run "
        "of five seconds, or of four steps where these take no more than twenty. Cells are the median over turns, "
        "quartiles in brackets. A ratio is taken turn by turn and above 1 where ours is faster.",
    ]


def _agreement(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    columns = [
        ("encoder", _field("encoder")),
        ("parameters with head", _field("parameters")),
        ("evaluation mode", _within("difference", "evaluation")),
        ("training mode", _within("difference", "training")),
    ]
    return [
        "## Are they the same networks?",
        "Parameter counts are equal, and the same weights give the same logits; below the largest difference relative "
        "to the largest logit, for a small head. Checked before anything is timed.",
        table(columns, rows),
    ]


def _step_rate(record: Row, steps: list[Row]) -> list[str]:
    columns = [*CASE, *WHO, ("images/s", _spread("images_per_second")), ("s/step", _spread("seconds_per_step"))]
    columns += [(f"over {name}", _versus(name)) for name in ("PyTorch eager", "PyTorch compile")]
    columns += [("once, ms/image", _field("remember_milliseconds_per_image"))]
    return [
        "## Step rate",
        f"A distillation step with {record['plan']['outputs']} outputs: gather a random batch of uint8 images in "
        "memory, normalise, random teacher (evaluation), student forward and backward (training), cross-entropy and "
        "KL, AdamW. Images of all members count. A population of m members is compared with m steps of PyTorch, one "
        "after another.",
        "`ours` is the step of a run: the teacher is frozen and the images are not augmented, so its embeddings are "
        "computed once for the run, at the price in the last column, and only its head in every step. `ours, teacher "
        "computed` does all of PyTorch's work in every step, and is the comparison of like with like.",
        table(columns, steps),
        f"![step rate](../figures/{record['kind']}_step_rate.png)",
        *_population_picture(record),
    ]


def _population_picture(record: Row) -> list[str]:
    if not populations(record["sections"]["steps"]["cases"]):
        return []
    return [f"![images per second against members](../figures/{record['kind']}_population.png)"]


def _population(record: Row, sweep: Row) -> list[str]:
    columns = [
        ("who", _field("who")),
        ("programs run", _field("runs")),
        ("s/step", _spread("seconds_per_step")),
        ("hours, extrapolated", _spread("hours_extrapolated")),
        ("ours is faster", _spread("ours_is_faster")),
    ]
    return [
        "## The alpha sweep as one program",
        f"{sweep['alphas']} values of alpha x {sweep['seeds']} seeds = {sweep['members']} members: {sweep['encoder']}, "
        f"batch {sweep['batch_size']}, {sweep['dtype']}, {sweep['steps_per_run']} steps each, as many as in the paper. "
        "Ours is one population, in which runs that differ in alpha only have one teacher, whose embeddings are "
        "computed once, and one batch; PyTorch runs the members one after another. **Hours are extrapolated** for "
        "both, from the steps measured here; probes and checkpoints are left out.",
        table(columns, sweep["rows"]),
    ]


def _utilisation(rates: list[Row], shares: list[Row]) -> list[str]:
    rate = [("type", _field("dtype")), ("side", _field("size")), ("who", _field("who"))]
    share = [*CASE, *WHO, ("GFLOP/step", _field("gflop_per_step")), ("GFLOP/s", _field("gflops_per_second"))]
    return [
        "## Utilisation",
        "Rate of large square matrix products, in a chain:",
        table([*rate, ("GFLOP/s", _spread("gflops_per_second"))], rates),
        "The matrix products and convolutions of a step (counted from our traced program, forward and backward) per "
        "median second, in percent of the greatest rate above; those of `ours` without the teacher's encoder; a "
        "float32 step on a GPU counts against tf32.",
        table([*share, ("percent", _field("percent"))], shares),
    ]


def _memory(steps: list[Row]) -> list[str]:
    columns = [*CASE, *WHO]
    columns += [
        (title, _within("megabytes", name))
        for title, name in (
            ("after imports", "after_imports"),
            ("peak until first step", "peak_until_first_step"),
            ("peak running", "peak_running"),
            ("our program", "program"),
            ("peak on device", "device_peak"),
        )
    ]
    return [
        "## Memory",
        "Megabytes: resident memory of the process (compiling included until the first step, not afterwards, and "
        "compilers that PyTorch starts as processes not at all), arguments and temporary memory of our compiled "
        "program as XLA plans it, and the GPU allocator's peak where there is a GPU.",
        table(columns, steps),
    ]


def _compile_time(rows: list[Row]) -> list[str]:
    columns = [*CASE, *WHO, ("cold", _field("cold_seconds")), ("cached", _field("cached_seconds"))]
    return [
        "## Seconds until the first step is done",
        "Tracing, compiling and one step: with empty compilation caches, and in a second process that finds them "
        "filled. One measurement each; a teacher's embeddings of all images are left out.",
        table(columns, rows),
    ]


def _scaling(record: Row, rows: dict[str, list[Row]] | None) -> list[str]:
    if rows is None:
        return ["## Scaling over devices", "Not measured: there is one device."]
    columns = [
        ("devices", _field("devices")),
        ("members", _field("members")),
        ("images/s", _spread("images_per_second")),
        ("rate over first row", _spread("rate_over_first")),
    ]
    case, cores = record["plan"]["scaling"], record["environment"]["cpu_count"]
    simulated = (
        f"**The devices are simulated: all of them share the {cores} cores**, so no speed can come of them, and what a "
        "rate loses or gains is overhead and scheduling, not scaling. "
        if record["plan"]["simulated"]
        else ""
    )
    return [
        "## Scaling over devices",
        f"{simulated}A population of {case['encoder']}, batch {case['batch_size']} a member, laid over the devices.",
        "Weak: one member a device.",
        table(columns, rows["weak"]),
        "Strong: as many members as the most devices, on all numbers of devices.",
        table(columns, rows["strong"]),
        "Batch: one member, whose batch is laid over the devices.",
        table(columns, rows["batch"]),
        f"![scaling](../figures/{record['kind']}_scaling.png)",
    ]


def _tasks(title: str, text: str, entries: list[Row] | Row) -> list[str]:
    if isinstance(entries, dict):
        return [f"## {title}", f"Not measured: {entries['not_measured']}."]
    columns = [
        ("task", _field("task")),
        ("who", _field("who")),
        ("seconds", _spread("seconds")),
        ("per second", _spread("per_second")),
        ("first call, s", _field("first_call_seconds")),
        ("ours is faster", _spread("ours_is_faster")),
    ]
    rows = [{"task": entry["task"]} | row for entry in entries for row in entry["rows"]]
    return [f"## {title}", text, table(columns, rows)]


def _others(record: Row) -> list[str]:
    if record["environment"]["backend"] != "cpu":
        return []
    return ["## GPU", "The GPU tables are still empty; on a machine with one, `make bench` writes its own page here."]


def write_report(path: pathlib.Path) -> pathlib.Path:
    """Writes the page beside ``path`` and the pictures into ``../figures``.

    Args:
        path: ``results/KIND.json``.
    Returns:
        Path of the page.
    """
    record = read_json(path, "kind", "sections")
    write_figures(record, path.parents[1] / "figures")
    page = path.with_suffix(".md")
    write_atomically(page, markdown(record))
    return page


if __name__ == "__main__":
    print(write_report(pathlib.Path(sys.argv[1]).absolute()))
