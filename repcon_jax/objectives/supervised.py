"""Training with labels: cross-entropy of the head's logits."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp

from repcon_jax import losses
from repcon_jax.errors import check_range
from repcon_jax.models import Network
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.objectives.starting import from_checkpoint, require_one_head, require_path
from repcon_jax.random import stream
from repcon_jax.records.scores import ACCURACY, Score
from repcon_jax.training.step import Inputs, Objective
from repcon_jax.typing import Key, Metrics, ModelState, Params, PyTree


@OBJECTIVES.register("supervised")
def supervised(
    context: Context,
    *,
    start: Literal["random", "checkpoint"] = "random",
    checkpoint: str | None = None,
    checkpoint_part: str = "params",
    start_seed: int | None = None,
) -> Objective:
    """Minimises the mean cross-entropy -log softmax(logits)[label] over all views.

    Args:
        context: the run.
        start: a random initialisation, or the encoder of a checkpoint under a fresh head.
        checkpoint: folder of the checkpoint to start from.
        checkpoint_part: which part of it.
        start_seed: seed of the initialisation (of the head, where the encoder comes from a checkpoint); None for the
            run's own. With it, runs of different seeds share their start and differ in data order and augmentation.
    """
    require_one_head(context, "supervised")
    if start_seed is not None:
        check_range("start_seed", start_seed, 0, 2**31 - 1)
    require_path("start", start, "checkpoint", checkpoint)
    method = _Supervised(context, (checkpoint, checkpoint_part) if start == "checkpoint" else None, start_seed)
    return Objective(
        method.start,
        method.loss,
        method.evaluate,
        method.networks,
        changing=("encoder",),
        uses_labels=True,
        scores=LABELLED_SCORES,
    )


# What ``labelled_metrics`` and a loss with labels mean.
LABELLED_SCORES = {"loss": Score("cross-entropy", "nats", higher_is_better=False), "accuracy": ACCURACY}


@dataclasses.dataclass(frozen=True)
class _Supervised:
    """The functions of the objective."""

    context: Context
    checkpoint: tuple[str | None, str] | None
    start_seed: int | None

    def start(self, key: Key, images: jax.Array, scalars: dict[str, Any]) -> tuple[Params, ModelState, PyTree]:
        del scalars
        seed = key if self.start_seed is None else jax.random.key(self.start_seed)
        fresh = self.context.model.init(stream(seed, "model"), images)
        if self.checkpoint is not None:
            fresh = from_checkpoint(self.context, *self.checkpoint, fresh, encoder_only=True)
        return (*fresh, {})

    def loss(self, inputs: Inputs) -> tuple[jax.Array, tuple[ModelState, PyTree, Metrics]]:
        views = inputs.batch.views
        labels = jnp.tile(inputs.batch.labels, views.shape[0])
        network = self.context.network(inputs.params, inputs.model_state)
        (_, logits), model_state = network.apply(views.reshape(-1, *views.shape[2:]), True)
        value = losses.softmax_cross_entropy_with_labels(logits, labels)
        return value, (model_state, inputs.carried, {"accuracy": losses.accuracy(logits, labels)})

    def evaluate(self, inputs: Inputs) -> Metrics:
        return labelled_metrics(self.context.network(inputs.params, inputs.model_state), inputs)

    def networks(self, inputs: Inputs) -> dict[str, Network]:
        return {"encoder": self.context.network(inputs.params, inputs.model_state)}


def labelled_metrics(network: Network, inputs: Inputs) -> Metrics:
    """Cross-entropy and accuracy of every example, [batch] each.

    Args:
        network: whose logits are compared with the labels.
        inputs: gives images and labels.
    """
    (_, logits), _ = network.apply(inputs.batch.views[0])
    correct = (jnp.argmax(logits, axis=-1) == inputs.batch.labels).astype(jnp.float32)
    return {"loss": losses.softmax_cross_entropies_with_labels(logits, inputs.batch.labels), "accuracy": correct}
