"""Self-distillation: a student matches its teacher's output distribution on the same images, without labels."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from repcon_jax import losses
from repcon_jax.dynamics import exponential_moving_average, interpolate, neighbourhood, replace_every, view_pairs
from repcon_jax.dynamics.pairing import Pairing
from repcon_jax.errors import ConfigError, check_range
from repcon_jax.models import Model
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.objectives.starting import from_checkpoint
from repcon_jax.random import stream
from repcon_jax.training.durations import Clock
from repcon_jax.training.schedules import Schedule, ScheduleValue, parse_schedule
from repcon_jax.training.step import Batch, Objective
from repcon_jax.typing import Key, Metrics, ModelState, Params, PyTree, Scalar

_LOSSES = {
    "cross_entropy": losses.cross_entropy,
    "kl_divergence": losses.kl_divergence,
    "mean_squared_error": lambda teacher, student, *temperatures: losses.mean_squared_error(
        teacher / temperatures[0], student / temperatures[1]
    ),
}


@OBJECTIVES.register("distillation")
def distillation(
    context: Context,
    *,
    loss: Literal["cross_entropy", "kl_divergence", "mean_squared_error"] = "cross_entropy",
    teacher_temperature: ScheduleValue = 1.0,
    student_temperature: ScheduleValue = 1.0,
    centre_momentum: ScheduleValue | None = None,
    pairing: Pairing = "same",
    start: Literal["interpolated", "neighbourhood", "copy", "independent", "checkpoint"] = "interpolated",
    locality: Scalar = 1e-10,
    variance_preserving: bool = True,
    epsilon: Scalar = 0.0,
    checkpoint: str | None = None,
    checkpoint_part: str = "params",
    teacher_start: Literal["random", "checkpoint"] = "random",
    teacher_checkpoint: str | None = None,
    teacher_checkpoint_part: str = "params",
    teacher_update: Literal["frozen", "ema", "previous_epoch", "restarted"] = "frozen",
    teacher_momentum: ScheduleValue = "cosine(start=0.996, end=1.0)",
    restart_every: str = "50 epochs",
    teacher_batch_norm: Literal["evaluation", "from_data", "from_student"] = "evaluation",
    remember_teacher: bool = True,
) -> Objective:
    """Distils a teacher into a student of the same architecture; see the paper for the defaults.

    Args:
        context: the run.
        loss: distance between the softmax outputs, or between the logits for the mean squared error.
        teacher_temperature, student_temperature: divide the logits; number or schedule.
        centre_momentum: EMA momentum of the mean that is subtracted from the teacher's logits; None for no centring.
        pairing: which views are compared.
        start: how the student starts relative to its teacher.
        locality: alpha of the interpolated start; 0 is the teacher, 1 an independent initialisation. In float32 the
            paper's 1e-10 moves only entries near zero, and rounding does the rest.
        variance_preserving: whether interpolated and neighbourhood starts are divided by delta.
        epsilon: size of the neighbourhood.
        checkpoint, checkpoint_part: where a student with ``start='checkpoint'`` comes from.
        teacher_start: a random initialisation, or a checkpoint (a second round takes the student of the first).
        teacher_checkpoint, teacher_checkpoint_part: where that teacher comes from.
        teacher_update: ``frozen``; ``ema`` of the student; the student of the ``previous_epoch``; ``restarted`` from
            the student at every multiple of ``restart_every``.
        teacher_momentum: of ``ema``; number or schedule.
        restart_every: duration of a round of ``restarted``.
        teacher_batch_norm: ``evaluation`` uses the teacher's own running statistics (0 and 1 for a random teacher),
            ``from_data`` those of the batch, ``from_student`` the student's running ones.
        remember_teacher: whether a run that is longer than an epoch computes the embeddings of a frozen teacher once
            for all images, where these are not augmented, and not again in every epoch. It differs by rounding, which
            lets even a student of locality 0 part from its teacher; without it such a student stays there, if nothing
            else (batch normalisation) moves it.
    Raises:
        ConfigError: an option is out of range or two do not fit together.

    Source: Random Teachers are Good Teachers (arXiv 2302.12091), section 3; DINO (arXiv 2104.14294).
    """
    check_range("locality", locality, 0, 1)
    check_range("epsilon", epsilon, 0)
    _require_path("start", start, "checkpoint", checkpoint)
    _require_path("teacher_start", teacher_start, "teacher_checkpoint", teacher_checkpoint)
    clock = context.clock
    moves = teacher_update != "frozen" or teacher_batch_norm != "evaluation"

    def schedule(option: str, value: ScheduleValue, **bounds: Any) -> Schedule:
        return parse_schedule(value, clock, f"objective.{option}", 0, **bounds)

    method = _Distillation(
        model=context.model,
        encoder=context.encoder,
        head=context.head,
        pairs=tuple(view_pairs(pairing, context.num_views[0], sum(context.num_views))),
        distance=_LOSSES[loss],
        temperatures=(
            schedule("teacher_temperature", teacher_temperature, open_low=True),
            schedule("student_temperature", student_temperature, open_low=True),
        ),
        centring=None if centre_momentum is None else schedule("centre_momentum", centre_momentum, high=1),
        teacher_batch_norm=teacher_batch_norm,
        teacher_update=teacher_update,
        momentum=schedule("teacher_momentum", teacher_momentum, high=1),
        period=_period(clock, teacher_update, restart_every),
        last_step=clock.total_steps - 1,
    )
    initial = _Start(
        context=context,
        start=start,
        locality=locality,
        variance_preserving=variance_preserving,
        epsilon=epsilon,
        student=(checkpoint, checkpoint_part),
        teacher=(teacher_checkpoint, teacher_checkpoint_part) if teacher_start == "checkpoint" else None,
        teacher_batch_norm=teacher_batch_norm,
    )
    return Objective(
        start=initial,
        loss=method.loss,
        evaluate=method.evaluate,
        encoders=_encoders,
        after_step=method.move_teacher,
        changing=("teacher", "student") if moves else ("student",),
        constant=() if moves else ("teacher",),
        remember=None if moves or not remember_teacher else method.remember,
    )


def _period(clock: Clock, teacher_update: str, restart_every: str) -> int:
    """Steps between two replacements of the teacher, where it is replaced."""
    if teacher_update == "previous_epoch":
        return clock.steps_per_epoch
    period = clock.steps(restart_every, "objective.restart_every")
    if period < 1:
        raise ConfigError(f"objective.restart_every is {restart_every!r}, which is no step at all; lengthen it.")
    return period


@dataclasses.dataclass(frozen=True)
class _Start:
    """Parameters of teacher and student before the first step, as a function of the key."""

    context: Context
    start: str
    locality: Scalar
    variance_preserving: bool
    epsilon: Scalar
    student: tuple[str | None, str]
    teacher: tuple[str | None, str] | None
    teacher_batch_norm: str

    def __call__(self, key: Key, images: jax.Array) -> tuple[Params, ModelState, PyTree]:
        model = self.context.model
        teacher = model.init(stream(key, "teacher"), images)
        if self.teacher is not None:
            teacher = from_checkpoint(self.context, *self.teacher, teacher)
        student = self._student(teacher, model.init(stream(key, "student"), images))
        (_, logits), _ = jax.eval_shape(model.apply, *teacher, images)
        # Donated states must not share buffers, so the teacher gets its own.
        params, state = jax.tree.map(jnp.copy, teacher)
        if self.teacher_batch_norm == "from_student":
            state = jax.tree.map(jnp.copy, student[1])
        return (*student, {"teacher": {"params": params, "model_state": state}, "centre": jnp.zeros(logits.shape[-1])})

    def _student(
        self, teacher: tuple[Params, ModelState], fresh: tuple[Params, ModelState]
    ) -> tuple[Params, ModelState]:
        preserving = self.variance_preserving
        match self.start:
            case "checkpoint":
                return from_checkpoint(self.context, *self.student, fresh)
            case "independent":
                return fresh
            case "interpolated":
                return interpolate(teacher[0], fresh[0], self.locality, variance_preserving=preserving), teacher[1]
            case "neighbourhood":
                return neighbourhood(teacher[0], fresh[0], self.epsilon, variance_preserving=preserving), teacher[1]
            case _:
                return teacher


@dataclasses.dataclass(frozen=True)
class _Distillation:
    """The functions of the objective, with what its options became."""

    model: Model
    encoder: Model
    head: Model
    pairs: tuple[tuple[int, int], ...]
    distance: Callable[..., jax.Array]
    temperatures: tuple[Schedule, Schedule]
    centring: Schedule | None
    teacher_batch_norm: str
    teacher_update: str
    momentum: Schedule
    period: int
    last_step: int

    def loss(
        self, params: Params, carried: PyTree, model_state: ModelState, batch: Batch, step: jax.Array, key: Key
    ) -> tuple[jax.Array, tuple[ModelState, PyTree, Metrics]]:
        del key
        teacher, centre = carried["teacher"], carried["centre"]
        if batch.remembered is None:
            from_data = self.teacher_batch_norm == "from_data"
            raw, teacher_state = self._forward(teacher["params"], teacher["model_state"], batch.views, from_data)
        else:
            raw = self._from_embeddings(teacher, batch.views.shape[0], batch.remembered)
            teacher_state = teacher["model_state"]
        raw = jax.lax.stop_gradient(raw)
        targets = raw if self.centring is None else losses.centre_logits(raw, centre)
        logits, model_state = self._forward(params, model_state, batch.views, True)
        logits = list(logits)
        if batch.local_views.shape[0]:
            local, model_state = self._forward(params, model_state, batch.local_views, True)
            logits.extend(local)
        taus = [schedule(step) for schedule in self.temperatures]
        value = jnp.mean(jnp.stack([self.distance(targets[t], logits[s], *taus) for t, s in self.pairs]))
        kl = jnp.mean(jnp.stack([losses.kl_divergence(targets[t], logits[s], *taus) for t, s in self.pairs]))
        if self.centring is not None:
            centre = losses.update_centre(centre, raw, self.centring(step))
        carried = {"teacher": {**teacher, "model_state": teacher_state}, "centre": centre}
        return value, (model_state, carried, {"kl": jax.lax.stop_gradient(kl)})

    def _forward(
        self, params: Params, state: ModelState, views: jax.Array, train: bool
    ) -> tuple[jax.Array, ModelState]:
        (_, logits), state = self.model.apply(params, state, views.reshape(-1, *views.shape[2:]), train)
        return logits.reshape(*views.shape[:2], -1), state

    def remember(self, carried: PyTree, views: jax.Array) -> jax.Array:
        """The teacher's embeddings of all views of an image, one after the other, [batch, views * size]."""
        params, state = (carried["teacher"][part]["encoder"] for part in ("params", "model_state"))
        embeddings, _ = self.encoder.apply(params, state, views.reshape(-1, *views.shape[2:]))
        # Without further axes, of which XLA might order those of one element otherwise, and copy everything.
        return embeddings.reshape(*views.shape[:2], -1).swapaxes(0, 1).reshape(views.shape[1], -1)

    def _from_embeddings(self, teacher: PyTree, views: int, remembered: jax.Array) -> jax.Array:
        params, state = (teacher[part]["head"] for part in ("params", "model_state"))
        batch = remembered.shape[0]
        embeddings = remembered.reshape(batch, views, -1).swapaxes(0, 1).reshape(batch * views, -1)
        logits, _ = self.head.apply(params, state, embeddings)
        return logits.reshape(views, batch, -1)

    def move_teacher(self, carried: PyTree, params: Params, model_state: ModelState, step: jax.Array) -> PyTree:
        teacher = carried["teacher"]
        if self.teacher_batch_norm == "from_student":
            teacher = {**teacher, "model_state": model_state}
        if self.teacher_update == "ema":
            moved = exponential_moving_average(teacher["params"], params, self.momentum(step - 1))
            teacher = {**teacher, "params": moved}
        elif self.teacher_update in ("previous_epoch", "restarted"):
            teacher = replace_every(teacher, {"params": params, "model_state": model_state}, step, self.period)
        return {**carried, "teacher": teacher}

    def evaluate(
        self, params: Params, carried: PyTree, model_state: ModelState, images: jax.Array, labels: jax.Array
    ) -> Metrics:
        del labels
        teacher = carried["teacher"]
        (_, targets), _ = self.model.apply(teacher["params"], teacher["model_state"], images, False)
        (_, logits), _ = self.model.apply(params, model_state, images, False)
        if self.centring is not None:
            targets = losses.centre_logits(targets, carried["centre"])
        taus = [schedule(self.last_step) for schedule in self.temperatures]
        return {"kl": losses.kl_divergences(targets, logits, *taus)}


def _encoders(params: Params, carried: PyTree, model_state: ModelState) -> dict[str, tuple[Params, ModelState]]:
    teacher = carried["teacher"]
    return {
        "teacher": (teacher["params"]["encoder"], teacher["model_state"]["encoder"]),
        "student": (params["encoder"], model_state["encoder"]),
    }


def _require_path(option: str, value: str, path_option: str, path: str | None) -> None:
    if value == "checkpoint" and path is None:
        raise ConfigError(
            f"objective.{path_option} is None but objective.{option} is 'checkpoint'; give a folder of one step."
        )
