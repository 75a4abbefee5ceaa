"""The vote of the nearest training examples, in memory that does not grow with the number of test examples."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar


@partial(jax.jit, static_argnames=("counts", "num_classes", "chunk_size"))
def predict_by_neighbours(
    train_features: Float[Array, "train features"],
    train_labels: Int[Array, " train"],
    test_features: Float[Array, "test features"],
    counts: tuple[int, ...],
    num_classes: int,
    chunk_size: int = 256,
    temperature: float | Scalar | None = None,
) -> Int[Array, "counts test"]:
    """The class with most votes among the nearest training examples, for several numbers of neighbours at once.

    Of equally distant examples the first ones vote, and of classes with equally many votes the smallest wins.

    Args:
        train_features, train_labels: [train, features] and [train].
        test_features: [test, features].
        counts: numbers of neighbours, none above the number of training examples.
        num_classes: labels lie in 0 .. num_classes - 1.
        chunk_size: test examples that are treated at once.
        temperature: T of weights exp(cosine / T), for features of length 1; None lets every vote count the same.
    Returns:
        The predicted classes, [counts, test].
    """
    # ||a - b||^2 = ||a||^2 - 2ab + ||b||^2 cancels badly far from the origin. A training example as the new origin,
    # rather than the mean, leaves whole numbers whole, and their distances exact.
    squared_spread = jnp.sum(jnp.square(train_features - jnp.mean(train_features, axis=0)), axis=1)
    origin = train_features[jnp.argmin(squared_spread)]
    train = train_features - origin
    squared_norms = jnp.sum(jnp.square(train), axis=1)

    def predict(test: Float[Array, " features"]) -> Int[Array, " counts"]:
        # The test example's own norm is the same for all neighbours.
        distances = squared_norms - 2.0 * jnp.dot(train, test - origin, precision=jax.lax.Precision.HIGHEST)
        closeness, nearest = jax.lax.top_k(-distances, max(counts))
        votes = jax.nn.one_hot(train_labels[nearest], num_classes)
        if temperature is not None:
            # Of length 1, cosine = 1 - distance / 2, and a factor that all weights share changes nothing.
            votes = votes * jnp.exp((closeness - closeness[0]) / (2 * temperature))[:, None]
        sums = jnp.stack([jnp.sum(votes[:count], axis=0) for count in counts])
        return jnp.argmax(sums, axis=1)

    return jax.lax.map(predict, test_features, batch_size=chunk_size).T
