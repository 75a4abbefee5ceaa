"""Fixtures that several rooms' tests share."""

import importlib.metadata
import os

# Compiling is most of what tests do, so programs are optimised only where a test is about what users run. The older of
# XLA's two ways to write fused loops, which newer versions lack, compiles in two thirds of the time.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

import pytest


@pytest.fixture(scope="session", autouse=True)
def shared_programs(tmp_path_factory):
    """One folder of compiled programs for all workers, and for the processes that tests start."""
    import jax

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "programs"
    settings = {
        "compilation_cache_dir": str(folder),
        "persistent_cache_min_compile_time_secs": 0.1,
        "persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        os.environ[f"JAX_{name.upper()}"] = str(value)
        jax.config.update(f"jax_{name}", value)
