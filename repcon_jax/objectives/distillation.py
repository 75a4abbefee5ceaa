"""Self-distillation: a student matches its teacher's output distribution on the same images, without labels.

See the paper for the defaults. The options:

- ``loss``: distance between the softmax outputs, or between the logits for the mean squared error.
- ``teacher_temperature``, ``student_temperature``: divide the logits; number or schedule.
- ``centre_momentum``: EMA momentum of the mean that is subtracted from the teacher's logits; None for no centring.
- ``pairing``: which views are compared.
- ``start``: how the student starts relative to its teacher.
- ``locality``: alpha of the interpolated start; 0 is the teacher, 1 an independent initialisation. In float32 the
  paper's 1e-10 moves only entries near zero, and rounding does the rest.
- ``variance_preserving``: whether interpolated and neighbourhood starts are divided by delta.
- ``epsilon``: size of the neighbourhood.
- ``checkpoint``, ``checkpoint_part``: where a student with ``start='checkpoint'`` comes from.
- ``teacher_start``: a random initialisation, or a checkpoint (a second round takes the student of the first).
- ``teacher_checkpoint``, ``teacher_checkpoint_part``: where that teacher comes from. It may be of another architecture
  than its student, as long as neither ``start`` nor ``teacher_update`` nor ``teacher_batch_norm`` mixes the two.
- ``teacher_update``: ``frozen``; ``ema`` of the student; the student of the ``previous_epoch``; ``restarted`` from the
  student at every multiple of ``restart_every``.
- ``teacher_momentum``: of ``ema``; number or schedule.
- ``restart_every``: duration of a round of ``restarted``.
- ``teacher_batch_norm``: ``evaluation`` uses the teacher's own running statistics (0 and 1 for a random teacher),
  ``from_data`` those of the batch, ``from_student`` the student's running ones.
- ``remember_teacher``: whether a run that is longer than an epoch computes the embeddings of a frozen teacher once for
  all images, where these are not augmented, and not again in every epoch. It differs by rounding, which lets even a
  student of locality 0 part from its teacher; without it such a student stays there, if nothing else (batch
  normalisation) moves it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from repcon_jax import losses
from repcon_jax.dynamics import exponential_moving_average, interpolate, neighbourhood, replace_every, view_pairs
from repcon_jax.dynamics.pairing import Pairing
from repcon_jax.errors import ArgumentError, CheckpointError, check_range
from repcon_jax.models import Network
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.objectives.starting import from_checkpoint, require_one_head, require_path, with_own_buffers
from repcon_jax.random import stream
from repcon_jax.records.scores import Score
from repcon_jax.training.durations import Clock
from repcon_jax.training.schedules import Schedule, ScheduleValue, parse_schedule
from repcon_jax.training.step import Inputs, Objective
from repcon_jax.typing import Key, Metrics, ModelState, Params, PyTree, Scalar

_LOSSES = {
    "cross_entropy": losses.cross_entropy,
    "kl_divergence": losses.kl_divergence,
    "mean_squared_error": lambda teacher, student, *temperatures: losses.mean_squared_error(
        teacher / temperatures[0], student / temperatures[1]
    ),
}
_BOUNDS: dict[str, dict[str, Any]] = {
    "teacher_temperature": {"open_low": True},
    "student_temperature": {"open_low": True},
    "teacher_momentum": {"high": 1},
    "centre_momentum": {"high": 1},
}


_SCORES = {
    "kl": Score("KL of student from teacher", "nats", higher_is_better=False, scale="log"),
    "loss": Score("loss", higher_is_better=False),
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
    """Distils a teacher into a student; the options are explained at the top of this file.

    Args:
        context: the run.
    Raises:
        UserError: an option is out of range or two do not fit together.

    Source: Random Teachers are Good Teachers (arXiv 2302.12091), section 3; DINO (arXiv 2104.14294).
    """
    require_one_head(context, "distillation")
    check_range("locality", locality, 0, 1)
    check_range("epsilon", epsilon, 0)
    require_path("start", start, "checkpoint", checkpoint)
    require_path("teacher_start", teacher_start, "teacher_checkpoint", teacher_checkpoint)
    given = (teacher_checkpoint, teacher_checkpoint_part) if teacher_start == "checkpoint" else None
    period = _period(context.clock, teacher_update, restart_every)
    teacher = _Teacher(given, teacher_update, teacher_batch_norm, period)
    pairs = tuple(view_pairs(pairing, context.num_views[0], sum(context.num_views)))
    method = _Distillation(context, teacher, pairs, _LOSSES[loss], centre_momentum is not None)
    scalars = {
        "teacher_temperature": teacher_temperature,
        "student_temperature": student_temperature,
        "teacher_momentum": teacher_momentum,
        "centre_momentum": centre_momentum,
        "locality": locality,
        "epsilon": epsilon,
    }
    return Objective(
        _Start(context, teacher, start, variance_preserving, (checkpoint, checkpoint_part)),
        *(method.loss, method.evaluate, method.networks, method.move_teacher),
        scalars=_schedules(context.clock, scalars),
        changing=("teacher", "student") if teacher.changes else ("student",),
        constant=() if teacher.changes else ("teacher",),
        remember=method.remember if remember_teacher and not teacher.changes else None,
        scores=_SCORES,
    )


def _schedules(clock: Clock, values: dict[str, ScheduleValue | None]) -> dict[str, Schedule]:
    given = {name: value for name, value in values.items() if value is not None}
    return {name: parse_schedule(value, clock, name, 0, **_BOUNDS.get(name, {})) for name, value in given.items()}


def _period(clock: Clock, teacher_update: str, restart_every: str) -> int:
    """Steps between two replacements of the teacher, where it is replaced."""
    if teacher_update == "previous_epoch":
        return clock.steps_per_epoch
    period = clock.steps(restart_every, "restart_every")
    if period < 1:
        raise ArgumentError("restart_every", f"is {restart_every!r}, which is no step at all", "lengthen it")
    return period


@dataclasses.dataclass(frozen=True)
class _Teacher:
    """Where the teacher comes from and how it moves.

    Args:
        checkpoint: path and part; None for a random one.
        update, batch_norm: the options of these names.
        period: steps between two replacements.
    """

    checkpoint: tuple[str, str] | None
    update: str
    batch_norm: str
    period: int

    @property
    def changes(self) -> bool:
        """Whether anything of it, its running statistics included, changes while training."""
        return self.update != "frozen" or self.batch_norm != "evaluation"

    @property
    def follows(self) -> bool:
        """Whether it takes something from the student, hence must be of the same architecture."""
        return self.update != "frozen" or self.batch_norm == "from_student"


@dataclasses.dataclass(frozen=True)
class _Start:
    """Parameters of teacher and student before the first step, as a function of the key."""

    context: Context
    teacher: _Teacher
    start: str
    variance_preserving: bool
    student: tuple[str | None, str]

    def __call__(
        self, key: Key, images: jax.Array, scalars: dict[str, Any]
    ) -> tuple[Params, ModelState, dict[str, PyTree]]:
        fresh = self.context.model.init(stream(key, "student"), images)
        teacher = self._teacher(key, images, fresh)
        params, model_state = self._student(teacher, fresh, scalars)
        size = _outputs(teacher, images)
        if teacher.model != self.context.model:
            self._check_outputs(size, _outputs(self.context.network(params, model_state), images))
        teacher = with_own_buffers(teacher)
        if self.teacher.batch_norm == "from_student":
            teacher = teacher.replace(model_state=jax.tree.map(jnp.copy, model_state))
        return params, model_state, {"teacher": teacher, "centre": jnp.zeros(size)}

    def _teacher(self, key: Key, images: jax.Array, fresh: tuple[Params, ModelState]) -> Network:
        """The teacher, random or of a checkpoint; if neither start nor update mix it with the student, of any model."""
        if self.teacher.checkpoint is None:
            return self.context.network(*self.context.model.init(stream(key, "teacher"), images))
        if self.start in ("interpolated", "neighbourhood", "copy") or self.teacher.follows:
            return self.context.network(*from_checkpoint(self.context, *self.teacher.checkpoint, fresh))
        return self.context.load(*self.teacher.checkpoint)

    def _student(
        self, teacher: Network, fresh: tuple[Params, ModelState], scalars: dict[str, Any]
    ) -> tuple[Params, ModelState]:
        preserving = self.variance_preserving
        match self.start:
            case "checkpoint":
                return from_checkpoint(self.context, *self.student, fresh)
            case "independent":
                return fresh
            case "interpolated":
                mixed = interpolate(teacher.params, fresh[0], scalars["locality"], variance_preserving=preserving)
                return mixed, teacher.model_state
            case "neighbourhood":
                near = neighbourhood(teacher.params, fresh[0], scalars["epsilon"], variance_preserving=preserving)
                return near, teacher.model_state
            case _:
                return teacher.params, teacher.model_state

    def _check_outputs(self, teacher: int | None, student: int | None) -> None:
        """Only a teacher of a checkpoint can be of another model."""
        path, part = self.teacher.checkpoint
        if teacher is None:
            raise CheckpointError(
                f"the network {part!r} of checkpoint {path} has several heads but a teacher has one; take another."
            )
        if teacher != student:
            raise CheckpointError(
                f"the network {part!r} of checkpoint {path} has {teacher} outputs but its student {student}; give the "
                "student's head as many."
            )


def _outputs(network: Network, images: jax.Array) -> int | None:
    """The number of a network's logits; None where it has several heads."""
    logits = jax.eval_shape(network.apply, images)[0].logits
    return None if isinstance(logits, dict) else logits.shape[-1]


@dataclasses.dataclass(frozen=True)
class _Distillation:
    """The functions of the objective, with what its options became."""

    context: Context
    teacher: _Teacher
    pairs: tuple[tuple[int, int], ...]
    distance: Callable[..., jax.Array]
    is_centred: bool

    def loss(self, inputs: Inputs) -> tuple[jax.Array, tuple[ModelState, PyTree, Metrics]]:
        teacher, centre, batch = inputs.carried["teacher"], inputs.carried["centre"], inputs.batch
        if batch.remembered is None:
            raw, teacher_state = _forward(teacher, batch.views, self.teacher.batch_norm == "from_data")
            teacher = teacher.replace(model_state=teacher_state)
        else:
            raw = _from_embeddings(teacher, batch.views.shape[0], batch.remembered)
        raw = jax.lax.stop_gradient(raw)
        targets = losses.centre_logits(raw, centre) if self.is_centred else raw
        student = self.context.network(inputs.params, inputs.model_state)
        logits, model_state = _forward(student, batch.views, True)
        logits = list(logits)
        if batch.local_views.shape[0]:
            local, model_state = _forward(student.replace(model_state=model_state), batch.local_views, True)
            logits.extend(local)
        taus = _temperatures(inputs)
        value = jnp.mean(jnp.stack([self.distance(targets[t], logits[s], *taus) for t, s in self.pairs]))
        kl = jnp.mean(jnp.stack([losses.kl_divergence(targets[t], logits[s], *taus) for t, s in self.pairs]))
        if self.is_centred:
            centre = losses.update_centre(centre, raw, inputs.scalars["centre_momentum"])
        return value, (model_state, {"teacher": teacher, "centre": centre}, {"kl": jax.lax.stop_gradient(kl)})

    def remember(self, inputs: Inputs) -> jax.Array:
        """The teacher's embeddings of all views of an image, one after the other, [batch, views * size]."""
        views = inputs.batch.views
        embeddings, _ = inputs.carried["teacher"].encoder.apply(views.reshape(-1, *views.shape[2:]))
        # Without further axes, of which XLA might order those of one element otherwise, and copy everything.
        return embeddings.reshape(*views.shape[:2], -1).swapaxes(0, 1).reshape(views.shape[1], -1)

    def move_teacher(self, inputs: Inputs) -> PyTree:
        teacher = inputs.carried["teacher"]
        if self.teacher.batch_norm == "from_student":
            teacher = teacher.replace(model_state=inputs.model_state)
        if self.teacher.update == "ema":
            momentum = inputs.scalars["teacher_momentum"]
            teacher = teacher.replace(params=exponential_moving_average(teacher.params, inputs.params, momentum))
        elif self.teacher.update in ("previous_epoch", "restarted"):
            student = teacher.replace(params=inputs.params, model_state=inputs.model_state)
            teacher = replace_every(teacher, student, inputs.step, self.teacher.period)
        return {**inputs.carried, "teacher": teacher}

    def evaluate(self, inputs: Inputs) -> Metrics:
        images = inputs.batch.views[0]
        (_, targets), _ = inputs.carried["teacher"].apply(images)
        (_, logits), _ = self.context.network(inputs.params, inputs.model_state).apply(images)
        if self.is_centred:
            targets = losses.centre_logits(targets, inputs.carried["centre"])
        return {"kl": losses.kl_divergences(targets, logits, *_temperatures(inputs))}

    def networks(self, inputs: Inputs) -> dict[str, Network]:
        student = self.context.network(inputs.params, inputs.model_state)
        return {"teacher": inputs.carried["teacher"], "student": student}


def _temperatures(inputs: Inputs) -> tuple[Scalar, Scalar]:
    return inputs.scalars["teacher_temperature"], inputs.scalars["student_temperature"]


def _forward(network: Network, views: jax.Array, train: bool) -> tuple[jax.Array, ModelState]:
    """Logits [views, batch, outputs] of views [views, batch, height, width, channels]."""
    (_, logits), state = network.apply(views.reshape(-1, *views.shape[2:]), train)
    return logits.reshape(*views.shape[:2], -1), state


def _from_embeddings(teacher: Network, views: int, remembered: jax.Array) -> jax.Array:
    """The logits of remembered embeddings [batch, views * size]."""
    params, state = teacher.params["head"], teacher.model_state["head"]
    batch = remembered.shape[0]
    embeddings = remembered.reshape(batch, views, -1).swapaxes(0, 1).reshape(batch * views, -1)
    logits, _ = teacher.model.part("head").apply(params, state, embeddings)
    return logits.reshape(views, batch, -1)
