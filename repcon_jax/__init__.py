"""Representation learning dynamics in JAX: student-teacher distillation as pure functions on pytrees.

Import the room you need (``repcon_jax.models``, ``repcon_jax.data``, ``repcon_jax.dynamics``, ...); this
file imports next to nothing, so that ``import repcon_jax`` and ``python -m repcon_jax --help`` stay instant.
"""

from repcon_jax import moved

__version__ = "0.1.0"

moved.install()
