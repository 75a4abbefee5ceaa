"""The paper's linear probe: ten epochs of AdamW on raw features."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Scalar

from repcon_jax.errors import check_range
from repcon_jax.losses import accuracy, softmax_cross_entropies_with_labels
from repcon_jax.probing.linear_classifier import init_linear_classifier, linear_logits
from repcon_jax.probing.probe import PROBES, Details, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.standardisation import Normalisation, normalise_features, one_normalisation
from repcon_jax.random import stream
from repcon_jax.records.scores import ACCURACY
from repcon_jax.typing import Key, Params


@PROBES.register("linear")
def linear(
    *,
    epochs: int = 10,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    normalisation: Normalisation = "none",
    standardise: bool = False,
    shuffle: bool = True,
) -> Probe:
    """A linear layer trained with AdamW; the accuracy is that of the last epoch, converged or not.

    Args:
        epochs: passes over the training features.
        batch_size: examples per step; the last, smaller batch of an epoch is kept.
        learning_rate, weight_decay: of AdamW (decoupled, on kernel and bias); the defaults are PyTorch's.
        normalisation: of the features; the paper's headline numbers have none.
        standardise: True is another way to write ``normalisation="standardise"``.
        shuffle: whether the training set is permuted, once, before it is cut into the batches of all epochs.

    Source: arXiv 2302.12091, appendix, and its released code, whose batches stay the same in every epoch.
    """
    check_range("epochs", epochs, 1)
    check_range("batch_size", batch_size, 1)
    check_range("learning_rate", learning_rate, 0, open_low=True)
    check_range("weight_decay", weight_decay, 0)
    normalisation = one_normalisation(normalisation, standardise)

    def fit_and_score(
        train_features: Float[Array, "train features"],
        train_labels: Int[Array, " train"],
        test_features: Float[Array, "test features"],
        test_labels: Int[Array, " test"],
        num_classes: int,
        key: Key,
    ) -> tuple[Float[Array, ""], Details]:
        train_features, test_features = normalise_features(train_features, test_features, normalisation)
        num_examples, num_features = train_features.shape
        order = jnp.arange(num_examples)
        if shuffle:
            order = jax.random.permutation(stream(key, "order"), num_examples)
        classifier = init_linear_classifier(stream(key, "classifier"), num_features, num_classes)
        batches, is_real = fixed_batches(order, batch_size)
        classifier = train_linear_classifier(
            classifier, train_features, train_labels, batches, is_real, learning_rate, weight_decay, epochs
        )
        details = {
            "train_accuracy": accuracy(linear_logits(classifier, train_features), train_labels),
            "held_out_accuracy": None,
            "normalisation": normalisation,
            "converged": False,
        }
        return accuracy(linear_logits(classifier, test_features), test_labels), details

    seen = {
        "none": "features as they are, which rewards well-scaled features",
        "standardise": "standardised features",
        "l2": "features of length one",
    }[normalisation]
    about = f"a linear layer after {epochs} epochs of AdamW on {seen}; the defaults are the paper's"
    score = dataclasses.replace(ACCURACY, about=about)
    return Probe(fit_and_score, score, without_features=accuracy_of_most_frequent_class)


def fixed_batches(
    order: Int[Array, " examples"], batch_size: int
) -> tuple[Int[Array, "batches batch_size"], Bool[Array, "batches batch_size"]]:
    """Cuts an order of examples into batches of one shape.

    Args:
        order: indices of the examples, [examples].
        batch_size: examples per batch.
    Returns:
        Indices [batches, batch_size], where a place that the last batch leaves empty holds index 0, and a mask
        of the same shape that is False there.

    >>> fixed_batches(jnp.arange(3), 2)[1].tolist()
    [[True, True], [True, False]]
    """
    num_batches = -(-order.shape[0] // batch_size)
    missing = num_batches * batch_size - order.shape[0]
    is_real = jnp.arange(num_batches * batch_size) < order.shape[0]
    return jnp.pad(order, (0, missing)).reshape(num_batches, batch_size), is_real.reshape(num_batches, batch_size)


@partial(jax.jit, static_argnames="epochs")
def train_linear_classifier(
    classifier: Params,
    features: Float[Array, "examples features"],
    labels: Int[Array, " examples"],
    batches: Int[Array, "batches batch_size"],
    is_real: Bool[Array, "batches batch_size"],
    learning_rate: float | Scalar,
    weight_decay: float | Scalar,
    epochs: int,
) -> Params:
    """Minimises with AdamW the mean cross-entropy of each batch in turn, ``epochs`` times over the same batches.

    Args:
        classifier: kernel and bias to start from.
        features, labels: the training set, [examples, features] and [examples].
        batches: indices into the training set.
        is_real: False where a place of a batch is empty; it has no part in the batch mean.
        learning_rate, weight_decay: of AdamW; its other constants are 0.9, 0.999 and 1e-8.
        epochs: passes over the batches.
    Returns:
        The classifier after the last step.
    """

    optimiser = optax.adamw(learning_rate, weight_decay=weight_decay)

    def loss(
        classifier: Params, batch: Int[Array, " batch_size"], mask: Bool[Array, " batch_size"]
    ) -> Float[Array, ""]:
        losses = softmax_cross_entropies_with_labels(linear_logits(classifier, features[batch]), labels[batch])
        return jnp.mean(losses, where=mask)

    def step(carry: tuple[Params, optax.OptState], index: Int[Array, ""]) -> tuple[tuple[Params, optax.OptState], None]:
        classifier, opt_state = carry
        gradient = jax.grad(loss)(classifier, batches[index], is_real[index])
        updates, opt_state = optimiser.update(gradient, opt_state, classifier)
        return (optax.apply_updates(classifier, updates), opt_state), None

    steps = jnp.tile(jnp.arange(batches.shape[0]), epochs)
    (classifier, _), _ = jax.lax.scan(step, (classifier, optimiser.init(classifier)), steps)
    return classifier
