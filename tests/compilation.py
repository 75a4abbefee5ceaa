"""Programs compiled as users run them, where a test is about these."""

import contextlib

import jax


@contextlib.contextmanager
def optimised():
    """Within, nothing is left out; the other tests compile without optimising, which is quicker."""
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
    jax.clear_caches()
