"""Fixtures that several rooms' tests share."""

import jax
import pytest


@pytest.fixture
def quick(monkeypatch):
    """Compiles without optimising, and does not evaluate on the test set."""
    from smoke import without_test_images

    from repcon_jax import problem

    monkeypatch.setattr(problem, "prepare_splits", without_test_images)
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()
