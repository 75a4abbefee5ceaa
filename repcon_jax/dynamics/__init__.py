"""Student-teacher dynamics: where a student starts, how a teacher moves, which views are compared."""

from repcon_jax.dynamics.pairing import view_pairs
from repcon_jax.dynamics.starts import interpolate, neighbourhood
from repcon_jax.dynamics.teachers import exponential_moving_average, replace_every

__all__ = ["exponential_moving_average", "interpolate", "neighbourhood", "replace_every", "view_pairs"]
