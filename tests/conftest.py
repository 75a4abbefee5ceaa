"""Fixtures that several rooms' tests share."""

import functools

import jax
import pytest


@pytest.fixture
def quick(monkeypatch):
    """Compiles without optimising, neither evaluates on the test set nor draws, has two residual stages of a block."""
    from smoke import without_test_images

    from repcon_jax import experiment, problem
    from repcon_jax.models import ENCODERS
    from repcon_jax.models.encoders.resnet import ARCHITECTURES, resnet

    ENCODERS.names()  # a registry finds its own files before anything in it is replaced
    for name, (kind, _, channels) in ARCHITECTURES.items():
        monkeypatch.setitem(ENCODERS._builders, name, functools.partial(resnet, kind, (1, 1), channels))

    monkeypatch.setattr(
        experiment, "write_figures", lambda workdir, results: (workdir / "figures").mkdir(exist_ok=True)
    )
    monkeypatch.setattr(problem, "prepare_splits", without_test_images)
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()
