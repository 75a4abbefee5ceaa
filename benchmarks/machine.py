"""What the numbers were measured on; printed as JSON, from a process of its own so that no device stays taken.

python -m benchmarks.machine
"""

import importlib.util
import json
import os
import pathlib
import re
from typing import Any

import jax

from repcon_jax.records.workdir import describe_environment


def describe() -> dict[str, Any]:
    """Kind of machine, processor, cores, load and versions."""
    about = describe_environment()
    device = re.sub(r"\W+", "_", about["devices"][0].lower())
    return {
        "kind": f"cpu_{os.cpu_count()}cores" if jax.default_backend() == "cpu" else device,
        "cpu_model": _cpu_model(),
        "load_average_before": os.getloadavg()[0],
        "torch": _torch_version(),
        **about,
    }


def _cpu_model() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return model[1] if model else "unknown"


def _torch_version() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch.__version__


if __name__ == "__main__":
    print(json.dumps(describe()))
