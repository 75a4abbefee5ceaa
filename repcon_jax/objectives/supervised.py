"""Training with labels: cross-entropy of the head's logits."""

from typing import Literal

import jax
import jax.numpy as jnp

from repcon_jax import losses
from repcon_jax.errors import ConfigError, check_range
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.objectives.starting import from_checkpoint
from repcon_jax.random import stream
from repcon_jax.training.step import Batch, Objective
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
    if start_seed is not None:
        check_range("start_seed", start_seed, 0, 2**31 - 1)
    if start == "checkpoint" and checkpoint is None:
        raise ConfigError(
            "objective.checkpoint is None but objective.start is 'checkpoint'; give a folder of one step."
        )

    def initialise(key: Key, images: jax.Array) -> tuple[Params, ModelState, PyTree]:
        seed = key if start_seed is None else jax.random.key(start_seed)
        fresh = context.model.init(stream(seed, "model"), images)
        if start == "checkpoint":
            fresh = from_checkpoint(context, checkpoint, checkpoint_part, fresh, encoder_only=True)
        return (*fresh, {})

    def loss(
        params: Params, carried: PyTree, model_state: ModelState, batch: Batch, step: jax.Array, key: Key
    ) -> tuple[jax.Array, tuple[ModelState, PyTree, Metrics]]:
        del step, key
        images = batch.views.reshape(-1, *batch.views.shape[2:])
        labels = jnp.tile(batch.labels, batch.views.shape[0])
        (_, logits), model_state = context.model.apply(params, model_state, images, True)
        value = losses.softmax_cross_entropy_with_labels(logits, labels)
        return value, (model_state, carried, {"accuracy": losses.accuracy(logits, labels)})

    def evaluate(
        params: Params, carried: PyTree, model_state: ModelState, images: jax.Array, labels: jax.Array
    ) -> Metrics:
        del carried
        (_, logits), _ = context.model.apply(params, model_state, images, False)
        correct = (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)
        return {"loss": losses.softmax_cross_entropies_with_labels(logits, labels), "accuracy": correct}

    def encoders(params: Params, carried: PyTree, model_state: ModelState) -> dict[str, tuple[Params, ModelState]]:
        del carried
        return {"encoder": (params["encoder"], model_state["encoder"])}

    return Objective(initialise, loss, evaluate, encoders, changing=("encoder",), uses_labels=True)
