"""One competitor in its own process: built once, then advanced whenever the parent says a number of steps.

    python -m benchmarks.worker '{"runner": "ours:Training", "options": {"encoder": "mlp", ...}}'

A process each, so that thread pools, allocators and compilers of one cannot disturb those of another.
"""

import importlib
import json
import os
import pathlib
import sys
import time
from typing import Any

from repcon_jax.machine import cpu_compiler


def main(text: str) -> None:
    """Answers one JSON line when ready, one for each line of standard input, and one at its end."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")

    cpu_compiler.enable()  # as the command line does
    spec = json.loads(text)
    module, name = spec["runner"].split(":")
    build = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    imported = resident_bytes("VmRSS")
    began = time.perf_counter()
    runner = build(**spec["options"])
    built = time.perf_counter()
    runner.steps(1)
    first = time.perf_counter()
    about = runner.about() if hasattr(runner, "about") else {}
    answer(build_seconds=built - began, first_step_seconds=first - built, **about)
    compiled = resident_bytes("VmHWM")
    forgotten = forget_peak()
    for line in sys.stdin:
        began = time.perf_counter()
        runner.steps(int(line))
        answer(seconds=time.perf_counter() - began)
    answer(
        imported_bytes=imported,
        peak_bytes_first_step=compiled,
        peak_bytes_running=resident_bytes("VmHWM") if forgotten else None,
        device_peak_bytes=runner.peak_bytes() if hasattr(runner, "peak_bytes") else None,
        **(runner.about_at_the_end() if hasattr(runner, "about_at_the_end") else {}),
    )


def resident_bytes(field: str) -> int:
    """Resident memory of this process, ``VmRSS`` for now and ``VmHWM`` for the most there was."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"/proc/self/status has no {field}.")


def forget_peak() -> bool:
    """Sets VmHWM back to what is resident now, so that compiling does not count as training; False where forbidden."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1])
