"""Fixtures that several rooms' tests share."""

import jax
import pytest


@pytest.fixture
def quick(monkeypatch):
    """Compiles without optimising and evaluates on 20 test images."""
    from smoke import few_test_images

    from repcon_jax import problem

    monkeypatch.setattr(problem, "prepare_splits", few_test_images)
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()
