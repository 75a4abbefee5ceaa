"""Interpolated positions against JAX's own resampling and against the definition, place by place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.models.positions import interpolate_positions

POSITIONS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 3)), jnp.float32)
GRIDS = [(5, 4), (3, 4), (2, 7), (9, 3), (1, 1), (11, 12)]


@pytest.mark.parametrize("grid", GRIDS)
def test_antialiased_is_jaxs_cubic_resampling(grid):
    expected = jax.image.resize(POSITIONS, (*grid, 3), "cubic", antialias=True)
    np.testing.assert_allclose(interpolate_positions(POSITIONS, grid), expected, rtol=1e-4, atol=1e-5)


def keys(x):
    """Keys' kernel for a = -3/4, by its two pieces."""
    x = abs(x)
    if x <= 1:
        return 1.25 * x**3 - 2.25 * x**2 + 1
    return -0.75 * x**3 + 3.75 * x**2 - 6 * x + 3 if x < 2 else 0.0


@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("grid", GRIDS)
def test_plain_is_the_sum_over_sixteen_neighbours_with_the_border_repeated(grid, offset):
    old, expected = np.asarray(POSITIONS), np.zeros((*grid, 3))
    for row, column in np.ndindex(*grid):
        y, x = ((i + 0.5) * n / (m + offset) - 0.5 for i, n, m in zip((row, column), old.shape, grid, strict=False))
        for dy in range(-1, 3):
            for dx in range(-1, 3):
                v, u = int(np.floor(y)) + dy, int(np.floor(x)) + dx
                weight = keys(y - v) * keys(x - u)
                expected[row, column] += weight * old[np.clip(v, 0, 4), np.clip(u, 0, 3)]
    found = interpolate_positions(POSITIONS, grid, "plain", offset)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("interpolation", ["antialiased", "plain"])
def test_what_is_constant_stays_so_and_the_own_grid_changes_nothing(interpolation):
    constant = interpolate_positions(jnp.full((5, 4, 3), 2.5), (7, 2), interpolation, 0.1)
    np.testing.assert_allclose(constant, 2.5, rtol=1e-6)
    np.testing.assert_allclose(interpolate_positions(POSITIONS, (5, 4), interpolation), POSITIONS, atol=1e-6)
