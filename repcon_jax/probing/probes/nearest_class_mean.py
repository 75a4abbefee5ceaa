"""The nearest class mean: what do features say without anything being fitted but means?"""

import dataclasses
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.losses import accuracy
from repcon_jax.probing.probe import PROBES, Details, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.standardisation import Normalisation, normalise_features
from repcon_jax.records.scores import ACCURACY
from repcon_jax.typing import Key


@PROBES.register("nearest_class_mean")
def nearest_class_mean(
    *, metric: Literal["euclidean", "cosine"] = "euclidean", normalisation: Normalisation = "none"
) -> Probe:
    """The class whose mean training feature is nearest; a class without examples is never answered.

    Args:
        metric: what is near.
        normalisation: of the features, before the means.

    Source: Mensink et al., Distance-Based Image Classification (TPAMI 2013), section 3.2, with the identity as metric.
    """

    def fit_and_score(
        train_features: Float[Array, "train features"],
        train_labels: Int[Array, " train"],
        test_features: Float[Array, "test features"],
        test_labels: Int[Array, " test"],
        num_classes: int,
        key: Key,
    ) -> tuple[Float[Array, ""], Details]:
        train, test = normalise_features(train_features, test_features, normalisation)
        scores = partial(closeness_to_means, class_means(train, train_labels, num_classes), metric=metric)
        details = {
            "train_accuracy": accuracy(scores(train), train_labels),
            "held_out_accuracy": None,
            "normalisation": normalisation,
            "metric": metric,
            "converged": True,
        }
        return accuracy(scores(test), test_labels), details

    score = dataclasses.replace(ACCURACY, about=f"the class whose mean is nearest, by the {metric} distance")
    return Probe(fit_and_score, score, examples_needed=1, without_features=accuracy_of_most_frequent_class)


@partial(jax.jit, static_argnames="num_classes")
def class_means(
    features: Float[Array, "examples features"], labels: Int[Array, " examples"], num_classes: int
) -> Float[Array, "classes features"]:
    """The mean of every class, NaN for one without examples.

    >>> class_means(jnp.array([[0.0], [2.0], [5.0]]), jnp.array([0, 0, 1]), 2).tolist()
    [[1.0], [5.0]]
    """
    chosen = jax.nn.one_hot(labels, num_classes)
    return jnp.matmul(chosen.T, features, precision=jax.lax.Precision.HIGHEST) / chosen.sum(0)[:, None]


@partial(jax.jit, static_argnames="metric")
def closeness_to_means(
    means: Float[Array, "classes features"],
    features: Float[Array, "examples features"],
    metric: Literal["euclidean", "cosine"],
) -> Float[Array, "examples classes"]:
    """Minus the squared distance to every mean, or the cosine; minus infinity for a mean that is NaN.

    Args:
        means: [classes, features].
        features: [examples, features].
        metric: what is near.
    """
    if metric == "cosine":
        means, features = (
            jnp.divide(x, jnp.maximum(jnp.linalg.norm(x, axis=1)[:, None], 1e-12)) for x in (means, features)
        )
    # Distances from a shared origin near all of them, so that squares cancel less.
    origin = jnp.nanmean(means, axis=0)
    means, features = means - origin, features - origin
    products = jnp.matmul(features, means.T, precision=jax.lax.Precision.HIGHEST)
    closeness = 2 * products - jnp.sum(jnp.square(means), axis=1)
    return jnp.where(jnp.isnan(closeness), -jnp.inf, closeness)
