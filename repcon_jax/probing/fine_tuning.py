"""How good is a representation as a start: the whole network is trained on, and the learning rate is swept."""

import dataclasses
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from repcon_jax.data import epoch_indices, to_float
from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.losses import softmax_cross_entropies_with_labels, softmax_cross_entropy_with_labels
from repcon_jax.models import Network, attach_head, create_head
from repcon_jax.probing.penalty import hold_out
from repcon_jax.random import stream
from repcon_jax.training.durations import Clock
from repcon_jax.training.evaluation import evaluate_dataset
from repcon_jax.training.optimisers import OptimiserConfig, build_optimiser
from repcon_jax.training.step import Batch, Inputs, Objective, TrainState, build_step, create_state
from repcon_jax.typing import Key, Metrics, ModelState, Params, PyTree

Images = UInt8[Array, "examples height width channels"]
Labels = Int[Array, " examples"]


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """How a network is trained on.

    Args:
        learning_rates: that are tried; constant over the steps.
        steps: of every training.
        batch_size: examples of a step; fewer where there are fewer.
        optimiser: see ``repcon_jax.training.optimisers``; SGD has a momentum of 0.9.
        weight_decay: of all parameters.
        head_steps: steps before which the encoder's parameters stand still; all steps for a head alone.
        held_out: share of every class on which the learning rate is chosen, at most a half.
    Raises:
        ArgumentError: a number is out of range, or no learning rate is given.
    """

    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3)
    steps: int = 200
    batch_size: int = 64
    optimiser: Literal["sgd", "adam", "adamw"] = "adamw"
    weight_decay: float = 0.0
    head_steps: int = 0
    held_out: float = 0.2

    def __post_init__(self) -> None:
        """Checks ranges."""
        if not self.learning_rates:
            raise ArgumentError("learning_rates", "is () but must hold at least one")
        for rate in self.learning_rates:
            check_range("learning_rates", rate, 0, open_high=True)
        check_range("steps", self.steps, 1)
        check_range("batch_size", self.batch_size, 1)
        check_range("weight_decay", self.weight_decay, 0)
        check_range("head_steps", self.head_steps, 0, self.steps)
        # Of more than a half, classes of a few examples would be held out whole.
        check_range("held_out", self.held_out, 0, 0.5, open_low=True)


class FineTuned(NamedTuple):
    """A network that was trained on.

    Attributes:
        network: with a linear head of the classes.
        learning_rate: that was chosen.
        held_out_accuracy: for which it was chosen; None where there was nothing to choose by.
        train_accuracy: on all training examples.
    """

    network: Network
    learning_rate: float
    held_out_accuracy: float | None
    train_accuracy: float

    def details(self) -> dict[str, Any]:
        """What stands beside a result."""
        return {name: value for name, value in self._asdict().items() if name != "network"}


def fine_tune(
    network: Network, images: Images, labels: Labels, num_classes: int, options: FineTuning, key: Key
) -> FineTuned:
    """A network trained on with a fresh linear head, whose learning rate is chosen on examples that are held out.

    Every learning rate is tried on the rest of the training examples; that of highest held-out accuracy then
    trains once more on all of them. Of equal accuracies, common with few examples, the lowest loss decides.
    The head starts at 0. Batch norm takes the batch's statistics while training and running ones afterwards. With one
    learning rate, or one example of each class, nothing is held out and the first learning rate is taken.

    Args:
        network: whose encoder is the start; its head is not used.
        images, labels: the training examples, [examples, height, width, channels] and [examples].
        num_classes: labels lie in 0 .. num_classes - 1.
        options: how.
        key: of what is held out and of the order of examples.
    """
    start = with_linear_head(network, images, num_classes)
    is_held_out = np.asarray(hold_out(labels, options.held_out, stream(key, "held_out")))
    rates = sorted(options.learning_rates)
    rest, held = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    chosen, best, size = options.learning_rates[0], None, options.batch_size
    if len(rates) > 1 and held.size:
        # As many examples a step as in the last training, so that one program serves all.
        size = min(size, rest.size)
        order = _order(rest, size, options.steps, stream(key, "search"))
        tried = [train_on(start, images, labels, order, rate, options) for rate in rates]
        qualities = [quality_of(one, images[held], labels[held]) for one in tried]
        (best, _), chosen = max(zip(qualities, rates, strict=True), key=lambda one: (one[0][0], -one[0][1]))
    every = np.arange(len(labels))
    order = _order(every, min(size, every.size), options.steps, stream(key, "order"))
    trained = train_on(start, images, labels, order, chosen, options)
    return FineTuned(trained, chosen, best, accuracy_of(trained, images, labels))


def with_linear_head(network: Network, images: Images, num_classes: int) -> Network:
    """The network's encoder under a linear head whose parameters are 0.

    Args:
        network: with an encoder.
        images: for their shape.
        num_classes: number of logits.
    """
    encoder, head = network.encoder, create_head("linear", num_classes=num_classes, initialisation="zeros")
    embeddings = jax.eval_shape(lambda one: encoder.apply(one)[0], to_float(images[:1]))
    params, state = head.init(jax.random.key(0), jnp.zeros(embeddings.shape, embeddings.dtype))
    both = {"encoder": encoder.params, "head": params}, {"encoder": encoder.model_state, "head": state}
    return Network(*both, attach_head(encoder.model, head), network.pixels)


@partial(jax.jit, static_argnames=("options",))
def train_on(
    network: Network,
    images: Images,
    labels: Labels,
    order: Int[Array, "steps batch"],
    learning_rate: float | Float[Array, ""],
    options: FineTuning,
) -> Network:
    """The network after one step of cross-entropy on every row of examples.

    Args:
        network: where to begin, with a head of as many logits as there are classes.
        images, labels: the examples.
        order: which of them each step sees.
        learning_rate: constant.
        options: optimiser, weight decay and the steps before which the encoder stands still.
    """
    steps, size = order.shape
    clock = Clock(len(labels), size, max(1, len(labels) // size), steps)
    has_encoder = options.head_steps > 0 and jax.tree.leaves(network.params["encoder"])
    rules = (("^encoder/", f"set(frozen='{options.head_steps} steps')"),) if has_encoder else ()
    config = OptimiserConfig(options.optimiser, weight_decay=options.weight_decay, rules=(*rules, (".*", "default")))
    rate = {"learning_rate": jnp.asarray(learning_rate, jnp.float32)}
    optimiser, objective = build_optimiser(config, clock, network.params, rate), _classification(network)
    step, key = build_step(objective, optimiser), jax.random.key(0)  # nothing is drawn

    def one(state: TrainState, rows: Int[Array, " batch"]) -> tuple[TrainState, None]:
        views = to_float(images[rows])[None]
        return step(state, Batch(views, views[:0], labels[rows]), key)[0], None

    state = create_state(objective, optimiser, key, to_float(images[order[0]]))
    state, _ = jax.lax.scan(one, state, order)
    return network.replace(params=state.params, model_state=state.model_state)


def accuracy_of(network: Network, images: Images, labels: Labels, batch_size: int = 256) -> float:
    """The share of examples whose largest logit is the label's; a network that diverged has none right.

    Args:
        network: with a head.
        images, labels: the examples.
        batch_size: images at once.
    """
    return quality_of(network, images, labels, batch_size)[0]


def quality_of(network: Network, images: Images, labels: Labels, batch_size: int = 256) -> tuple[float, float]:
    """Accuracy and mean cross-entropy in nats; 0 and infinity of a network that diverged.

    Args:
        network: with a head.
        images, labels: the examples.
        batch_size: images at once.
    """
    values = evaluate_dataset(_quality, network, images, labels, batch_size=batch_size)
    return float(values["accuracy"]), float(values["loss"])


def _classification(network: Network) -> Objective:
    """Cross-entropy of the logits, from the network on."""

    def start(key: Key, images: Array, scalars: dict[str, Any]) -> tuple[Params, ModelState, PyTree]:
        return network.params, network.model_state, {}

    def loss(inputs: Inputs) -> tuple[Float[Array, ""], tuple[ModelState, PyTree, Metrics]]:
        current = network.replace(params=inputs.params, model_state=inputs.model_state)
        (_, logits), model_state = current.apply(inputs.batch.views[0], True)
        value = softmax_cross_entropy_with_labels(logits, inputs.batch.labels)
        return value, (model_state, inputs.carried, {})

    def evaluate(inputs: Inputs) -> Metrics:
        current = network.replace(params=inputs.params, model_state=inputs.model_state)
        return _quality(current, inputs.batch.views[0], inputs.batch.labels)

    def networks(inputs: Inputs) -> dict[str, Network]:
        return {"encoder": network.replace(params=inputs.params, model_state=inputs.model_state)}

    return Objective(start, loss, evaluate, networks, changing=("encoder",), uses_labels=True)


def _quality(network: Network, images: Array, labels: Array) -> Metrics:
    logits = network.apply(images)[0].logits
    is_finite = jnp.isfinite(logits).all(-1)
    is_right = (jnp.argmax(logits, axis=-1) == labels) & is_finite
    loss = jnp.where(is_finite, softmax_cross_entropies_with_labels(logits, labels), jnp.inf)
    return {"accuracy": is_right.astype(jnp.float32), "loss": loss}


def _order(examples: Int[np.ndarray, " examples"], size: int, steps: int, key: Key) -> Int[Array, "steps batch"]:
    """The examples of every step, in epochs that are each in an order of their own."""
    epochs = jnp.arange(-(-steps // (len(examples) // size)))
    rows = jax.lax.map(lambda epoch: epoch_indices(key, len(examples), size, epoch), epochs)
    return jnp.asarray(examples)[rows.reshape(-1, size)[:steps]]
