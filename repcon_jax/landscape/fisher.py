"""The Fisher information of a network's output distribution: its trace, per example."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.landscape.curvature import Estimate, estimate
from repcon_jax.trees import dot
from repcon_jax.typing import Key, Params, PyTree

Logits = Callable[[Params, PyTree], Float[Array, "batch outputs"]]


def fisher_trace(
    logits_function: Logits,
    params: Params,
    inputs: PyTree,
    key: Key | None = None,
    *,
    samples: int = 1,
    batch_size: int = 1,
) -> Estimate:
    """The trace of the Fisher information matrix, with labels from the network's own output distribution.

        tr F = E_x E_(y ~ p(y|x)) ||grad log p(y|x)||^2,   p(y|x) = softmax(logits(x))_y

    Without a key the inner expectation is the exact sum over all outputs, one gradient for each; with one it is a
    mean over drawn labels, which is unbiased and right for networks of many outputs.

    Args:
        logits_function: (params, inputs [batch, ...]) -> logits [batch, outputs]; called with one example at a time,
            so batch normalisation must use its running statistics.
        params: where.
        inputs: array or tree with a leading axis of examples.
        key: of the drawn labels, or None for the exact expectation.
        samples: labels to draw for each example; of no effect without a key.
        batch_size: examples at a time; memory is that of as many gradients.
    Returns:
        The mean over the examples and its standard error as a sample of the inputs.

    Source: Catastrophic Fisher Explosion (arXiv 2012.14193), section 2: the trace that early training regularises.
    """

    def of_example(pair: tuple[PyTree, Key]) -> Float[Array, ""]:
        example, example_key = pair
        logits, pull_back = jax.vjp(lambda p: _logits_of(logits_function, p, example), params)
        probabilities = jax.nn.softmax(logits)

        def squared_norm(label: Int[Array, ""]) -> Float[Array, ""]:
            (gradient,) = pull_back(jax.nn.one_hot(label, len(logits)) - probabilities)
            return dot(gradient, gradient)

        if key is None:
            return jnp.sum(probabilities * jax.lax.map(squared_norm, jnp.arange(len(logits))))
        labels = jax.random.categorical(example_key, logits, shape=(samples,))
        return jnp.mean(jax.lax.map(squared_norm, labels))

    examples = len(jax.tree.leaves(inputs)[0])
    keys = jax.random.split(jax.random.key(0) if key is None else key, examples)
    return estimate(jax.lax.map(of_example, (inputs, keys), batch_size=batch_size))


def _logits_of(logits_function: Logits, params: Params, example: PyTree) -> Float[Array, " outputs"]:
    return logits_function(params, jax.tree.map(lambda leaf: leaf[None], example))[0].astype(jnp.float32)
