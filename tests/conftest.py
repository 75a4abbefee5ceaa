"""Fixtures that several rooms' tests share."""

import functools
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


@pytest.fixture
def quick(monkeypatch):
    """Neither evaluates on the test set nor draws, and has two residual stages of one block."""
    from smoke import without_test_images

    from repcon_jax.models import ENCODERS
    from repcon_jax.models.encoders.resnet import ARCHITECTURES, resnet
    from repcon_jax.run import execute, experiment
    from repcon_jax.tasks.landscape import run as landscape
    from repcon_jax.tasks.lottery import run as lottery

    ENCODERS.names()  # a registry finds its own files before anything in it is replaced
    for name, (kind, _, channels) in ARCHITECTURES.items():
        monkeypatch.setitem(ENCODERS._builders, name, functools.partial(resnet, kind, (1, 1), channels))

    monkeypatch.setattr(execute, "write_figures", lambda workdir, results: (workdir / "figures").mkdir(exist_ok=True))
    monkeypatch.setattr(experiment, "prepare_splits", without_test_images)
    monkeypatch.setattr(landscape, "write_landscape_figures", lambda folder, results: folder.mkdir(exist_ok=True))
    monkeypatch.setattr(lottery, "write_lottery_figures", lambda folder, results: folder.mkdir(exist_ok=True))
