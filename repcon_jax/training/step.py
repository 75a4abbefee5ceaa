"""The one state and the one train step of every kind of training."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Int

from repcon_jax.trees import norm
from repcon_jax.typing import Key, Metrics, ModelState, Params, PyTree


@struct.dataclass
class TrainState:
    """Everything that changes while training; saved and restored as one tree.

    Leaves are arrays, or what a tree map made of them, hence no annotation of shapes.

    Args:
        step: number of updates made, int32 of shape ().
        params: what is trained.
        model_state: running statistics of the trained model.
        opt_state: the optimiser's.
        mask: booleans with the shapes of params; a parameter whose entry is False stays exactly zero.
        carried: what the objective carries along, such as a teacher and its centre.
    """

    step: PyTree
    params: Params
    model_state: ModelState
    opt_state: PyTree
    mask: PyTree
    carried: PyTree


@struct.dataclass
class Batch:
    """Augmented, normalised views of one batch.

    Args:
        views: global views, [views, batch, height, width, channels].
        local_views: local views, likewise, or no views at all ([0, ...]).
        labels: class indices [batch], or None for unlabelled data.
        remembered: what the objective remembers of the examples, arrays [batch, ...], or None where it computes it.
    """

    views: Float[Array, "views batch height width channels"]
    local_views: Float[Array, "local_views batch local_height local_width channels"]
    labels: Int[Array, " batch"] | None
    remembered: PyTree = None


def _keep(carried: PyTree, params: Params, model_state: ModelState, step: Int[Array, ""]) -> PyTree:
    del params, model_state, step
    return carried


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is minimised, as pure functions. A new method is a new builder of one of these.

    Args:
        start: key, images [batch, height, width, channels] -> (params, model_state, carried).
        loss: params, carried, model_state, batch, step, key -> (loss, (model_state, carried, metrics)).
        after_step: carried, params, model_state, step -> carried; called after the update, ``step`` counts it.
        evaluate: params, carried, model_state, images, labels -> {name: per-example values [batch]}.
        encoders: params, carried, model_state -> {name: (encoder params, encoder state)}; what is probed.
        changing: names of the encoders that change while training.
        constant: names in ``carried`` of what never changes; a population computes and keeps it once for all members
            that start with the same.
        uses_labels: whether the loss reads labels.
        remember: carried, views [views, batch, ...] -> a tree of arrays [batch, ...], which depends on nothing in
            ``carried`` but what is constant. Where the views of an image are the same in every epoch, a run computes
            it once for all examples and the loss finds it in ``batch.remembered``. None for nothing.
    """

    start: Callable[..., tuple[Params, ModelState, PyTree]]
    loss: Callable[..., tuple[Float[Array, ""], tuple[ModelState, PyTree, Metrics]]]
    evaluate: Callable[..., Metrics]
    encoders: Callable[..., dict[str, tuple[Params, ModelState]]]
    after_step: Callable[..., PyTree] = _keep
    changing: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    uses_labels: bool = False
    remember: Callable[[PyTree, Float[Array, "..."]], PyTree] | None = None


def create_state(
    objective: Objective, optimiser: optax.GradientTransformation, key: Key, images: Float[Array, "..."]
) -> TrainState:
    """The state before the first step, with nothing pruned.

    Args:
        objective: gives the start.
        optimiser: gives its state.
        key: the run's seed key.
        images: one normalised batch, for its shape.
    """
    params, model_state, carried = objective.start(key, images)
    mask = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
    return TrainState(jnp.int32(0), params, model_state, optimiser.init(params), mask, carried)


def apply_mask(params: Params, mask: PyTree) -> Params:
    """The parameters with masked entries exactly zero.

    >>> import jax.numpy as jnp
    >>> apply_mask({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([True, False])})["w"].tolist()
    [1.0, 0.0]
    """
    return jax.tree.map(lambda p, m: jnp.where(m, p, jnp.zeros_like(p)), params, mask)


def build_step(
    objective: Objective, optimiser: optax.GradientTransformation, accumulation: int = 1
) -> Callable[[TrainState, Batch, Key], tuple[TrainState, Metrics]]:
    """The function (state, batch, key) -> (state, metrics) of one update; pure, to be jitted by the loop.

    The mask is applied after the update, so that momentum, weight decay and normalisation cannot revive a weight.

    Args:
        objective: what is minimised.
        optimiser: how.
        accumulation: parts of a batch that are computed one after the other, with the memory of one; gradients and
            metrics are their means. Batch statistics (normalisation, centre) are those of a part.
    """

    def step(state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, Metrics]:
        value, model_state, carried, metrics, gradients = _gradients(objective, state, batch, key, accumulation)
        updates, opt_state = optimiser.update(gradients, state.opt_state, state.params)
        params = apply_mask(optax.apply_updates(state.params, updates), state.mask)
        carried = objective.after_step(carried, params, model_state, state.step + 1)
        metrics = {"loss": value, "gradient_norm": norm(gradients), **metrics}
        return TrainState(state.step + 1, params, model_state, opt_state, state.mask, carried), metrics

    return step


def _gradients(
    objective: Objective, state: TrainState, batch: Batch, key: Key, accumulation: int
) -> tuple[Float[Array, ""], ModelState, PyTree, Metrics, Params]:
    def gradients_of(part: Batch, model_state: ModelState, carried: PyTree, key: Key) -> tuple[Any, Params]:
        def loss(params: Params) -> tuple[Array, Any]:
            return objective.loss(params, carried, model_state, part, state.step, key)

        return jax.value_and_grad(loss, has_aux=True)(state.params)

    if accumulation == 1:
        (value, (model_state, carried, metrics)), gradients = gradients_of(batch, state.model_state, state.carried, key)
        return value, model_state, carried, metrics, gradients

    def add(carry: tuple[ModelState, PyTree, PyTree], i: Int[Array, ""]) -> tuple[Any, None]:
        model_state, carried, sums = carry
        part, part_key = split_batch(batch, accumulation, i), jax.random.fold_in(key, i)
        (value, (model_state, carried, metrics)), gradients = gradients_of(part, model_state, carried, part_key)
        return (model_state, carried, jax.tree.map(jnp.add, sums, (value, metrics, gradients))), None

    part = split_batch(batch, accumulation, 0)
    shapes = jax.eval_shape(gradients_of, part, state.model_state, state.carried, key)
    (value, (_, _, metrics)), gradients = shapes
    sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (value, metrics, gradients))
    parts = jnp.arange(accumulation)
    (model_state, carried, sums), _ = jax.lax.scan(add, (state.model_state, state.carried, sums), parts)
    value, metrics, gradients = jax.tree.map(lambda leaf: leaf / accumulation, sums)
    return value, model_state, carried, metrics, gradients


def split_batch(batch: Batch, parts: int, index: int | Int[Array, ""]) -> Batch:
    """Every ``parts``-th example of a batch, from ``index`` on.

    Strided, so that each part of a batch that is spread over devices is spread over all of them.
    """

    def take(array: Array, axis: int) -> Array:
        shape = array.shape
        split = array.reshape(*shape[:axis], shape[axis] // parts, parts, *shape[axis + 1 :])
        return jax.lax.dynamic_index_in_dim(split, index, axis + 1, keepdims=False)

    labels = None if batch.labels is None else take(batch.labels, 0)
    remembered = jax.tree.map(lambda leaf: take(leaf, 0), batch.remembered)
    return Batch(take(batch.views, 1), take(batch.local_views, 1), labels, remembered)
