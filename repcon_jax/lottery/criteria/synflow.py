"""Synaptic flow, which needs no data and, pruned in small steps, never cuts a layer off."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.lottery.criterion import CRITERIA, Criterion, Evidence
from repcon_jax.models import Model
from repcon_jax.trees import all_finite, map_named
from repcon_jax.typing import ModelState, Params, PyTree


def synaptic_flow(
    model: Model, model_state: ModelState, image_shape: tuple[int, ...]
) -> Callable[[Params], Float[Array, ""]]:
    """The function R(params) = sum of the logits of an image of ones, in evaluation mode; for ``Evidence.flow``.

        R = 1^T |W_L| ... |W_1| 1

    for a network of ReLUs without biases. Running means count as 0 and variances as 1, so that batch normalisation
    too is linear with coefficients of one sign.

    Args:
        model: an encoder with its head, as ``attach_head`` makes it; a head that divides by norms has no flow.
        model_state: its running statistics, for their shapes.
        image_shape: (height, width, channels).

    Source: Tanaka et al., arXiv 2006.05467, section 6 and algorithm 1.
    """

    def neutral(name: str, leaf: Array) -> Array:
        return jnp.ones_like(leaf) if name.endswith("/var") else jnp.zeros_like(leaf)

    state = map_named(neutral, model_state)
    # Compiled here, since one flow is differentiated in each of a hundred rounds.
    return jax.jit(lambda params: jnp.sum(model.apply(params, state, jnp.ones((1, *image_shape)))[0].logits))


@CRITERIA.register("synflow")
def synflow() -> Criterion:
    """|w dR/dw| with the flow R at the absolute values of the parameters.

    What flows into a unit flows out of it, so a layer's scores sum to R however many weights it has; pruning in small
    steps, as ``synflow_iterations`` gives them, then leaves some of each layer.

    Raises:
        ArgumentError: the flow, which grows exponentially with depth, leaves the range of float32.

    Source: Tanaka et al., arXiv 2006.05467, algorithm 1.
    """

    def flowing(evidence: Evidence) -> PyTree:
        absolute = jax.tree.map(jnp.abs, evidence.kept())
        scores = jax.tree.map(lambda w, g: jnp.abs(w * g), absolute, jax.grad(evidence.flow)(absolute))
        _check_finite(scores)
        return scores

    return Criterion(flowing, frozenset({"flow"}))


def _check_finite(scores: PyTree) -> None:
    finite = all_finite(scores)
    if not isinstance(finite, jax.core.Tracer) and not finite:
        raise ArgumentError(
            "evidence.flow",
            "is a synaptic flow beyond the range of float32",
            "choose a shallower or narrower network or another criterion than 'synflow', such as 'snip'",
        )


def synflow_iterations(density: float, iterations: int = 100) -> tuple[float, ...]:
    """The densities ``density ** (k / iterations)`` for k = 1, 2, ..., iterations.

    Args:
        density: the last one, in (0, 1].
        iterations: number of rounds, in each of which scores are computed anew.
    Raises:
        ArgumentError: density or iterations is out of range.

    Source: Tanaka et al., arXiv 2006.05467, algorithm 1.

    >>> [round(density, 3) for density in synflow_iterations(0.01, 4)]
    [0.316, 0.1, 0.032, 0.01]
    """
    check_range("density", density, 0, 1, open_low=True)
    check_range("iterations", iterations, 1)
    return tuple(density ** (k / iterations) for k in range(1, iterations + 1))
