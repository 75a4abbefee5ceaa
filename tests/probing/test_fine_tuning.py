"""Fine-tuning on digits: what it reaches, what stands still, and how the learning rate is chosen."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.data import epoch_indices, load
from repcon_jax.errors import ArgumentError
from repcon_jax.models import Network, Pixels, attach_head, create_encoder, create_head, raw_pixels
from repcon_jax.probing import FineTuning, fine_tune
from repcon_jax.probing.fine_tuning import accuracy_of, train_on, with_linear_head
from repcon_jax.probing.penalty import hold_out
from repcon_jax.random import stream
from repcon_jax.trees import distance

OPTIONS = FineTuning(learning_rates=(1e-3, 1e-2), steps=40, batch_size=32)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def digits():
    """Training and test images and labels."""
    data = load("digits", image_size=8)
    images, labels = jnp.asarray(data.images), jnp.asarray(data.labels)
    return (images[:200], labels[:200]), (images[200:500], labels[200:500])


@pytest.fixture(scope="module")
def network():
    """A random network with batch norm and a head of other outputs."""
    encoder = create_encoder("mlp", widths=(32, 16), normalisation="batch")
    model = attach_head(encoder, create_head("linear", num_classes=3))
    return Network(*model.init(jax.random.key(1), jnp.zeros((2, 8, 8, 1))), model, Pixels((0.3,), (0.35,)))


@pytest.fixture(scope="module")
def tuned(digits, network):
    return fine_tune(network, *digits[0], 10, OPTIONS, KEY)


def test_the_whole_network_learns_more_than_a_head_on_it(digits, network, tuned):
    head_only = dataclasses.replace(OPTIONS, head_steps=OPTIONS.steps)
    probed = fine_tune(network, *digits[0], 10, head_only, KEY)
    assert 0.3 < accuracy_of(probed.network, *digits[1]) < accuracy_of(tuned.network, *digits[1]) - 0.05
    assert accuracy_of(tuned.network, *digits[1]) > 0.75
    assert distance(probed.network.params["encoder"], network.params["encoder"]) == 0
    assert distance(tuned.network.params["encoder"], network.params["encoder"]) > 0.1


def test_the_encoder_stands_still_for_as_long_as_asked(digits, network):
    start = with_linear_head(network, digits[0][0], 10)
    order = jnp.arange(96).reshape(3, 32)
    moved = {}
    for steps in (0, 2, 3):
        options = dataclasses.replace(OPTIONS, head_steps=steps)
        trained = train_on(start, *digits[0], order, 1e-2, options)
        moved[steps] = float(distance(trained.params["encoder"], start.params["encoder"]))
    assert moved[3] == 0 < moved[2] < moved[0]


def test_the_chosen_rate_is_that_of_highest_accuracy_on_what_is_held_out(digits, network, tuned):
    assert tuned.learning_rate == 1e-2
    assert tuned.train_accuracy == pytest.approx(accuracy_of(tuned.network, *digits[0]))
    assert tuned.held_out_accuracy <= 1
    assert tuned.held_out_accuracy * 40 == pytest.approx(round(tuned.held_out_accuracy * 40), abs=1e-4)
    backwards = dataclasses.replace(OPTIONS, learning_rates=(1e-2, 1e-3))
    assert fine_tune(network, *digits[0], 10, backwards, KEY).details() == tuned.details()
    none = dataclasses.replace(OPTIONS, learning_rates=(0.0, 0.0), steps=2)
    assert fine_tune(network, *digits[0], 10, none, KEY).learning_rate == 0


def test_of_equal_accuracies_the_lowest_loss_decides(digits, network):
    (images, labels), _ = digits
    # Two classes that every rate tells apart, the larger rates with more certainty.
    two = np.flatnonzero((labels == 0) | (labels == 1))
    options = FineTuning(learning_rates=(3e-3, 1e-2), steps=60, batch_size=16)
    each = [
        fine_tune(network, images[two], labels[two], 2, options, KEY),
        *(train_alone(network, images[two], labels[two], rate, options) for rate in options.learning_rates),
    ]
    assert each[0].held_out_accuracy == 1.0
    assert each[1][0] == each[2][0] == 1.0
    assert each[0].learning_rate == options.learning_rates[int(np.argmin([each[1][1], each[2][1]]))] == 1e-2


def train_alone(network, images, labels, rate, options):
    """Accuracy and loss on held-out examples of one rate, as NumPy computes them."""
    held = np.asarray(hold_out(labels, options.held_out, stream(KEY, "held_out")))
    rest = np.flatnonzero(~held)
    rows = [
        np.asarray(epoch_indices(stream(KEY, "search"), len(rest), 16, epoch)) for epoch in range(options.steps // 2)
    ]
    order = rest[np.concatenate(rows)[: options.steps]]
    trained = train_on(with_linear_head(network, images, 2), images, labels, jnp.asarray(order), rate, options)
    logits = np.asarray(trained.apply(images[held])[0].logits, np.float64)
    own = logits[np.arange(len(logits)), np.asarray(labels)[held]]
    return np.mean(logits.argmax(1) == np.asarray(labels)[held]), np.mean(np.log(np.exp(logits).sum(1)) - own)


def test_a_rate_of_0_learns_nothing(digits, network):
    still = dataclasses.replace(OPTIONS, learning_rates=(0.0,), steps=3)
    fitted = fine_tune(network, *digits[0], 10, still, KEY)
    start = with_linear_head(network, digits[0][0], 10)
    assert distance(fitted.network.params, start.params) == 0
    assert distance(fitted.network.model_state, start.model_state) > 0  # batch norm has seen the images
    assert accuracy_of(fitted.network, *digits[1]) == pytest.approx(float(jnp.mean(digits[1][1] == 0)))
    assert fitted.held_out_accuracy is None


def test_a_rate_so_high_that_training_diverges_is_not_chosen_and_has_no_example_right(digits, network):
    options = FineTuning(learning_rates=(1e-2, 1e30), steps=20, batch_size=32, optimiser="sgd")
    assert fine_tune(network, *digits[0], 10, options, KEY).learning_rate == 1e-2
    diverged = fine_tune(network, *digits[0], 10, dataclasses.replace(options, learning_rates=(1e30,)), KEY)
    assert diverged.train_accuracy == 0


def test_one_step_is_that_of_plain_gradient_descent(digits, network):
    start = with_linear_head(network, digits[0][0], 10)
    rows = jnp.arange(32)
    options = FineTuning(learning_rates=(0.1,), steps=1, optimiser="sgd", weight_decay=0.01)
    stepped = train_on(start, *digits[0], rows[None], 0.1, options)

    def loss(params):
        (_, logits), state = start.replace(params=params).apply(digits[0][0][rows], True)
        log_probabilities = jax.nn.log_softmax(logits)[jnp.arange(32), digits[0][1][rows]]
        return -log_probabilities.mean(), state

    gradients, state = jax.jit(jax.grad(loss, has_aux=True))(start.params)
    expected = jax.tree.map(lambda p, g: p - 0.1 * (g + 0.01 * p), start.params, gradients)
    assert distance(stepped.params, expected) < 1e-5
    assert distance(stepped.model_state, state) < 1e-5


@pytest.mark.slow
def test_few_examples_and_networks_without_parameters_are_trained_too(digits):
    (images, labels), _ = digits
    first_of_each = np.array([int(np.flatnonzero(labels == label)[0]) for label in range(10)])
    options = FineTuning(learning_rates=(1e-1, 1e-3), steps=40, head_steps=5)
    one_each = fine_tune(raw_pixels(), images[first_of_each], labels[first_of_each], 10, options, KEY)
    assert one_each.held_out_accuracy is None
    assert one_each.learning_rate == 1e-1
    assert one_each.train_accuracy == 1
    two_each = np.concatenate([np.flatnonzero(labels == label)[:2] for label in range(10)])
    fitted = fine_tune(raw_pixels(), images[two_each], labels[two_each], 10, options, KEY)
    assert fitted.held_out_accuracy > 0.2


def test_of_a_half_held_out_some_of_every_class_is_left_to_train_on(digits, network):
    (images, labels), _ = digits
    few = np.concatenate([np.flatnonzero(labels == label)[: 1 + label % 3] for label in range(10)])
    options = dataclasses.replace(OPTIONS, held_out=0.5, steps=2)
    fitted = fine_tune(network, images[few], labels[few], 10, options, KEY)
    assert 0 <= fitted.held_out_accuracy <= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learning_rates": ()}, r"learning_rates is \(\) but must hold at least one"),
        ({"learning_rates": (0.1, -1.0)}, r"learning_rates is -1.0 but must lie in \[0, inf\)"),
        ({"steps": 0}, r"steps is 0 but must lie in \[1, inf\]"),
        ({"batch_size": 0}, r"batch_size is 0 but must lie in \[1, inf\]"),
        ({"weight_decay": -0.1}, r"weight_decay is -0.1 but must lie in \[0, inf\]"),
        ({"head_steps": 201}, r"head_steps is 201 but must lie in \[0, 200\]"),
        ({"held_out": 0.6}, r"held_out is 0.6 but must lie in \(0, 0.5\]"),
    ],
)
def test_options_out_of_range_are_told(changes, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        FineTuning(**changes)
