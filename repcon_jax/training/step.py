"""The one state and the one train step of every kind of training."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Int

from repcon_jax.models.network import Network
from repcon_jax.records.scores import Score
from repcon_jax.training.partition import Paths, merge, split
from repcon_jax.training.schedules import Schedule
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
    """Augmented views of one batch, in [0, 1]: every network normalises for itself.

    Args:
        views: global views, [views, batch, height, width, channels].
        local_views: local views, likewise, or no views at all ([0, ...]).
        labels: class indices [batch], or None for unlabelled data.
        remembered: what the objective remembers of the examples, arrays [batch, ...], or None where it computes it.
        sources: batches of further data sets, by the name that the config gives them.
    """

    views: Float[Array, "views batch height width channels"]
    local_views: Float[Array, "local_views batch local_height local_width channels"]
    labels: Int[Array, " batch"] | None
    remembered: PyTree = None
    sources: dict[str, "Batch"] = struct.field(default_factory=dict)


@struct.dataclass
class Inputs:
    """All that the functions of an objective may read.

    Args:
        params: what is trained, together with what is frozen.
        model_state: running statistics of the trained model.
        carried: what the objective carries along.
        step: number of updates made before.
        scalars: value at this step of every option that changes with the step or differs between members.
        batch: examples; None where none are read.
        key: of what is drawn at this step; None where nothing is.
    """

    params: Params
    model_state: ModelState
    carried: PyTree
    step: PyTree
    scalars: dict[str, PyTree]
    batch: Batch | None = None
    key: PyTree = None


Loss = Callable[[Params, Inputs], tuple[Float[Array, ""], tuple[ModelState, PyTree, Metrics]]]
Gradients = Callable[[Loss, Params, Inputs], tuple[tuple[Float[Array, ""], Any], Params]]


def plain_gradients(loss: Loss, params: Params, inputs: Inputs) -> tuple[tuple[Float[Array, ""], Any], Params]:
    """Value and gradient of a loss at the parameters, by reverse mode.

    Args:
        loss: trained parameters, inputs -> (value, (model state, carried, metrics)).
        params: what is trained; where nothing is frozen, ``inputs.params``.
        inputs: what else the loss reads.
    """
    return jax.value_and_grad(loss, has_aux=True)(params, inputs)


def _keep(inputs: Inputs) -> PyTree:
    return inputs.carried


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is minimised, as pure functions. A new method is a new builder of one of these.

    Args:
        start: key, images in [0, 1] [batch, height, width, channels], scalars before the first step -> (params,
            model_state, carried).
        loss: inputs -> (loss, (model_state, carried, metrics)).
        after_step: inputs -> carried; called after the update with what it made of params, model state and carried,
            the number of updates with it, and the scalars of the step that was made.
        evaluate: inputs -> {name: per-example values [batch]}, of the first view of every example.
        networks: inputs, without scalars, batch and key -> {name: network}; what is probed.
        scalars: schedule of every option that changes with the step or may differ between members; its value stands
            in ``inputs.scalars`` under the option's name.
        changing: names of the networks that change while training.
        constant: names in ``carried`` of what never changes; a population computes and keeps it once for all members
            that start with the same, and only the first checkpoint holds it.
        uses_labels: whether the loss reads labels.
        remember: inputs -> a tree of arrays [batch, ...], which depends on nothing but the views and what is constant
            in ``carried``. Where the views of an image are the same in every epoch, a run computes it once for all
            examples and the loss finds it in ``batch.remembered``. None for nothing.
        gradients: how the gradients of a step are made from its loss, such as at a perturbed point or task by task.
        scores: what the loss and the metrics mean, by name; those that are declared are drawn, in this order.
    """

    start: Callable[[Key, Float[Array, "..."], dict[str, Any]], tuple[Params, ModelState, PyTree]]
    loss: Callable[[Inputs], tuple[Float[Array, ""], tuple[ModelState, PyTree, Metrics]]]
    evaluate: Callable[[Inputs], Metrics]
    networks: Callable[[Inputs], dict[str, Network]]
    after_step: Callable[[Inputs], PyTree] = _keep
    scalars: dict[str, Schedule] = dataclasses.field(default_factory=dict)
    changing: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    uses_labels: bool = False
    remember: Callable[[Inputs], PyTree] | None = None
    gradients: Gradients = plain_gradients
    scores: dict[str, Score] = dataclasses.field(default_factory=dict)


def scalars_at(schedules: Mapping[str, Schedule], step: int | Int[Array, ""]) -> dict[str, Any]:
    """The values of schedules at a step.

    >>> scalars_at({"locality": lambda step: 0.5}, 0)
    {'locality': 0.5}
    """
    return {name: schedule(step) for name, schedule in schedules.items()}


def create_state(
    objective: Objective,
    optimiser: optax.GradientTransformation,
    key: Key,
    images: Float[Array, "..."],
    schedules: Mapping[str, Schedule] | None = None,
    frozen: Paths = frozenset(),
) -> TrainState:
    """The state before the first step, with nothing pruned.

    Args:
        objective: gives the start.
        optimiser: gives its state, of what is trained.
        key: the run's seed key.
        images: one batch of images in [0, 1], for its shape.
        schedules: of a member's scalars; None for those of the objective.
        frozen: paths of the parameters that stand still.
    """
    scalars = scalars_at(objective.scalars if schedules is None else schedules, 0)
    params, model_state, carried = objective.start(key, images, scalars)
    mask = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
    trained, _ = split(params, frozen)
    return TrainState(jnp.int32(0), params, model_state, optimiser.init(trained), mask, carried)


def apply_mask(params: Params, mask: PyTree) -> Params:
    """The parameters with masked entries exactly zero.

    >>> import jax.numpy as jnp
    >>> apply_mask({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([True, False])})["w"].tolist()
    [1.0, 0.0]
    """
    return jax.tree.map(lambda p, m: jnp.where(m, p, jnp.zeros_like(p)), params, mask)


def build_step(
    objective: Objective,
    optimiser: optax.GradientTransformation,
    accumulation: int = 1,
    *,
    schedules: Mapping[str, Schedule] | None = None,
    frozen: Paths = frozenset(),
) -> Callable[[TrainState, Batch, Key], tuple[TrainState, Metrics]]:
    """The function (state, batch, key) -> (state, metrics) of one update; pure, to be jitted by the loop.

    The mask is applied after the update, so that momentum, weight decay and normalisation cannot revive a weight. What
    is frozen stands outside the differentiated function and has no optimiser state.

    Args:
        objective: what is minimised.
        optimiser: how.
        accumulation: parts of a batch that are computed one after the other, with the memory of one; gradients and
            metrics are their means. Batch statistics (normalisation, centre) are those of a part.
        schedules: of a member's scalars; None for those of the objective.
        frozen: paths of the parameters that stand still.
    """
    schedules = objective.scalars if schedules is None else schedules
    gradients_of = objective.gradients if accumulation == 1 else accumulated(objective.gradients, accumulation)

    def step(state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, Metrics]:
        scalars = scalars_at(schedules, state.step)
        inputs = Inputs(state.params, state.model_state, state.carried, state.step, scalars, batch, key)
        trained, standing = split(state.params, frozen)

        def loss(trained: Params, inputs: Inputs) -> tuple[Array, tuple[ModelState, PyTree, Metrics]]:
            return objective.loss(inputs.replace(params=merge(trained, standing)))

        (value, (model_state, carried, metrics)), gradients = gradients_of(loss, trained, inputs)
        updates, opt_state = optimiser.update(gradients, state.opt_state, trained)
        updated = apply_mask(optax.apply_updates(trained, updates), split(state.mask, frozen)[0])
        params = merge(updated, standing)
        after = inputs.replace(
            params=params, model_state=model_state, carried=carried, step=state.step + 1, batch=None, key=None
        )
        metrics = {"loss": value, "gradient_norm": norm(gradients), **metrics}
        carried = objective.after_step(after)
        return TrainState(state.step + 1, params, model_state, opt_state, state.mask, carried), metrics

    return step


def accumulated(gradients: Gradients, parts: int) -> Gradients:
    """Gradients of a batch as the mean over its parts, one after the other, with the memory of one.

    Args:
        gradients: of a part.
        parts: their number, which divides the batch.
    """

    def over_parts(loss: Loss, params: Params, inputs: Inputs) -> tuple[tuple[Float[Array, ""], Any], Params]:
        def of_part(model_state: ModelState, carried: PyTree, i: int | Int[Array, ""]) -> Any:
            part, key = split_batch(inputs.batch, parts, i), jax.random.fold_in(inputs.key, i)
            return gradients(
                loss, params, inputs.replace(model_state=model_state, carried=carried, batch=part, key=key)
            )

        def add(carry: tuple[ModelState, PyTree, PyTree], i: Int[Array, ""]) -> tuple[Any, None]:
            model_state, carried, sums = carry
            (value, (model_state, carried, metrics)), gradient = of_part(model_state, carried, i)
            return (model_state, carried, jax.tree.map(jnp.add, sums, (value, metrics, gradient))), None

        (value, (_, _, metrics)), gradient = jax.eval_shape(of_part, inputs.model_state, inputs.carried, 0)
        sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (value, metrics, gradient))
        begin = inputs.model_state, inputs.carried, sums
        (model_state, carried, sums), _ = jax.lax.scan(add, begin, jnp.arange(parts))
        value, metrics, gradient = jax.tree.map(lambda leaf: leaf / parts, sums)
        return (value, (model_state, carried, metrics)), gradient

    return over_parts


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
    sources = {name: split_batch(source, parts, index) for name, source in batch.sources.items()}
    return Batch(take(batch.views, 1), take(batch.local_views, 1), labels, remembered, sources)
