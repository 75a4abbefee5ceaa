"""How sharp a minimum is: the largest rise of the loss within a small ball around a network."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import check_range
from repcon_jax.landscape.directions import filter_norms, random_direction
from repcon_jax.trees import norm
from repcon_jax.typing import Key, Params, PyTree, Scalar


def sharpness(
    loss: Callable[[Params], Float[Array, ""]],
    params: Params,
    radius: Scalar,
    *,
    steps: int = 1,
    scale: Literal["uniform", "filter"] = "uniform",
    key: Key | None = None,
) -> Float[Array, ""]:
    """The rise of the loss in the worst direction, by gradient ascent on a ball.

        max L(theta + T delta) - L(theta)   over   ||delta|| <= rho

    One step is the linearised maximum, delta = rho T g / ||T g|| with g the gradient at theta; every further one adds
    such a step at the point reached and returns to the ball. The largest rise met is given, so this is a lower bound
    of the maximum, at least 0 and not falling with ``steps``.

    Args:
        loss: params -> scalar.
        params: theta.
        radius: rho > 0: for ``"uniform"`` in units of the parameters, for ``"filter"`` a fraction.
        steps: gradients to compute, at least 1; with a key, steps from a random point.
        scale: ``"uniform"`` is T = 1. ``"filter"`` measures the change of each filter in units of that filter's norm,
            and of any other parameter in units of its absolute value, so that networks which differ by the scale of
            filters only have one sharpness.
        key: of a random start on the sphere, which an exact minimum needs: its gradient is 0 and says no direction.
            None starts at theta.
    Returns:
        Scalar, in units of the loss.
    Raises:
        ArgumentError: radius or steps is out of range.

    Source: SAM (arXiv 2010.01412), equations 1 and 2; ``"filter"`` is ASAM (arXiv 2102.11600), section 3, with its
    filter-wise operator.

    >>> round(float(sharpness(lambda x: jnp.sum(x), jnp.zeros(4), 0.5)), 6)
    1.0
    """
    check_range("radius", radius, 0, open_low=True)
    check_range("steps", steps, 1)
    scales = _scales(params, scale)

    def at(delta: PyTree) -> Float[Array, ""]:
        return loss(jax.tree.map(lambda leaf, unit, change: leaf + unit * change, params, scales, delta))

    def ascend(delta: PyTree, _: None) -> tuple[PyTree, Float[Array, ""]]:
        step = _of_norm(jax.grad(at)(delta), radius)
        reached = _in_ball(jax.tree.map(jnp.add, delta, step), radius)
        return reached, at(reached)

    centre = jax.tree.map(jnp.zeros_like, params)
    start = centre if key is None else _of_norm(random_direction(key, params), radius)
    _, values = jax.lax.scan(ascend, start, length=steps)
    return jnp.maximum(jnp.max(values) - at(centre), 0.0)


def _scales(params: Params, scale: Literal["uniform", "filter"]) -> PyTree:
    if scale == "uniform":
        return jax.tree.map(jnp.ones_like, params)
    return jax.tree.map(lambda leaf, norms: norms if leaf.ndim > 1 else jnp.abs(leaf), params, filter_norms(params))


def _of_norm(tree: PyTree, length: Scalar) -> PyTree:
    present = norm(tree)
    # A vanishing gradient stays where it is instead of becoming NaN.
    factor = jnp.where(present > 0, length / jnp.where(present > 0, present, 1.0), 0.0)
    return jax.tree.map(lambda leaf: leaf * factor, tree)


def _in_ball(tree: PyTree, radius: Scalar) -> PyTree:
    factor = jnp.minimum(1.0, radius / jnp.maximum(norm(tree), radius))
    return jax.tree.map(lambda leaf: leaf * factor, tree)
