"""The one loop: compiled chunks of steps, and what happens between them.

A chunk runs any number of steps up to the end of an epoch in one compiled program, so where a run is
interrupted, logged or probed changes nothing about its numbers: it is always the same program that steps.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from repcon_jax.data import epoch_indices, gather, normalise, to_float
from repcon_jax.errors import DivergenceError
from repcon_jax.random import stream
from repcon_jax.training.durations import Clock
from repcon_jax.training.step import Batch, TrainState
from repcon_jax.typing import Key, MetricRows, Metrics

Step = Callable[[TrainState, Batch, Key], tuple[TrainState, Metrics]]
Views = Callable[[Key, Array], tuple[Array, Array]]
Chunk = Callable[[TrainState, Array, Key], tuple[TrainState, Metrics]]

_SECONDS_PER_CHUNK = 2.0


@dataclasses.dataclass(frozen=True)
class TrainData:
    """The training set on the device.

    Args:
        images: uint8 [examples, height, width, channels].
        labels: int32 [examples], or None.
        mean, std: per-channel statistics of images / 255, [channels].
        views: key, images in [0, 1] -> (global views, local views).
        drop_last: whether an epoch ends before its incomplete batch.
    """

    images: UInt8[Array, "examples height width channels"]
    labels: Int[Array, " examples"] | None
    mean: Float[Array, " channels"]
    std: Float[Array, " channels"]
    views: Views
    drop_last: bool = True


def make_batch(data: TrainData, indices: Int[Array, " batch"], key: Key) -> Batch:
    """Gathers, augments and normalises the examples at ``indices``."""
    views, local_views = data.views(key, to_float(gather(data.images, indices)))
    labels = None if data.labels is None else gather(data.labels, indices)
    return Batch(normalise(views, data.mean, data.std), normalise(local_views, data.mean, data.std), labels)


def build_chunk(step: Step, data: TrainData, clock: Clock) -> Chunk:
    """The compiled function (state, number of steps, key) -> (state, metrics of every step); the state is donated.

    Args:
        step: from ``build_step``.
        data: the training set.
        clock: batch size and steps per epoch.
    Returns:
        A function whose second argument must not lead beyond the end of the epoch and whose third is the seed key of
        the member: data order and augmentation are functions of it and the step. Metrics are arrays
        [steps_per_epoch] whose first entries are those of the steps made.
    """
    arrays = (data.images, data.labels)
    run = jax.jit(partial(_chunk, step, data, clock), donate_argnums=0)
    return lambda state, num_steps, key: run(state, num_steps, arrays, key)


def _chunk(
    step: Step,
    data: TrainData,
    clock: Clock,
    state: TrainState,
    num_steps: Int[Array, ""],
    arrays: tuple[Array, Array | None],
    key: Key,
) -> tuple[TrainState, Metrics]:
    # The images come as an argument because a closed-over array would be a constant of the program.
    data = dataclasses.replace(data, images=arrays[0], labels=arrays[1])
    epoch = state.step // clock.steps_per_epoch
    indices = epoch_indices(key, clock.num_examples, clock.batch_size, epoch, data.drop_last)

    def one(state: TrainState) -> tuple[TrainState, Metrics]:
        row = indices[state.step - epoch * clock.steps_per_epoch]
        batch = make_batch(data, row, stream(key, "augment", state.step))
        return step(state, batch, stream(key, "step", state.step))

    shapes = jax.eval_shape(one, state)[1]
    buffers = {name: jnp.zeros((clock.steps_per_epoch, *m.shape), m.dtype) for name, m in shapes.items()}

    def body(i: Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        state, metrics = one(carry[0])
        return state, {name: carry[1][name].at[i].set(metrics[name]) for name in metrics}

    return jax.lax.fori_loop(0, num_steps, body, (state, buffers))


@dataclasses.dataclass(frozen=True)
class Callback:
    """Something to do at every multiple of ``every`` steps, at extra steps, and at the start and end of the run.

    Args:
        every: period in steps; 0 for never.
        call: receives the state.
        also: further steps.
    """

    every: int
    call: Callable[[TrainState], None]
    also: tuple[int, ...] = ()

    def due(self, step: int, total: int) -> bool:
        """Whether to be called after ``step`` updates of ``total``."""
        periodic = self.every > 0 and step % self.every == 0
        return periodic or step in (0, total, *self.also)

    def next_after(self, step: int, total: int) -> int:
        """The first step beyond ``step`` at which it is due."""
        candidates = [total, *(s for s in self.also if s > step)]
        if self.every > 0:
            candidates.append((step // self.every + 1) * self.every)
        return min(candidates)


def train(
    state: TrainState,
    chunk: Chunk,
    key: Key,
    clock: Clock,
    callbacks: Sequence[Callback],
    *,
    on_metrics: Callable[[MetricRows], None] = lambda rows: None,
    should_stop: Callable[[], Any] = lambda: False,
) -> TrainState:
    """Runs to the end of the clock, or until asked to stop.

    Args:
        state: where to begin; its buffers are donated.
        chunk: from ``build_chunk``.
        key: the member's seed key.
        clock: length of the run and of an epoch.
        callbacks: called in order; at the start only where ``state.step`` is 0.
        on_metrics: receives the metrics of every step, a chunk at a time.
        should_stop: asked between chunks, which last about two seconds.
    Returns:
        The last state.
    Raises:
        DivergenceError: the loss became NaN or infinite; nothing was called for that chunk.
    """
    step, total = int(state.step), clock.total_steps
    if step == 0:
        _call(callbacks, state, 0, total)
    pace = 1
    while step < total and not should_stop():
        boundary = min([_epoch_end(step, clock), *(c.next_after(step, total) for c in callbacks)])
        count = min(pace, boundary - step)
        began = time.monotonic()
        state, metrics = chunk(state, jnp.int32(count), key)
        rows = _rows(metrics, count)
        seconds = max(time.monotonic() - began, 1e-6)
        check_finite(rows, step)
        step += count
        # Short chunks keep the bar alive and a stop prompt; a long one only saves dispatches.
        pace = max(1, min(4 * pace, math.ceil(count * _SECONDS_PER_CHUNK / seconds)))
        on_metrics(rows)
        _call(callbacks, state, step, total)
    return state


def _epoch_end(step: int, clock: Clock) -> int:
    return (step // clock.steps_per_epoch + 1) * clock.steps_per_epoch


def _rows(metrics: Metrics, count: int) -> MetricRows:
    host = {name: np.asarray(values)[:count] for name, values in metrics.items()}
    return [{name: float(values[i]) for name, values in host.items()} for i in range(count)]


def check_finite(rows: MetricRows, step: int) -> None:
    """Raises DivergenceError at the first row whose loss is NaN or infinite; ``step`` is the one before the rows."""
    for offset, row in enumerate(rows):
        if not math.isfinite(row["loss"]):
            raise DivergenceError(
                f"the loss became {row['loss']} at step {step + offset + 1}; training stopped and the last good "
                "checkpoint is kept: lower optimiser.learning_rate or set optimiser.clip_norm."
            )


def _call(callbacks: Sequence[Callback], state: TrainState, step: int, total: int) -> None:
    for callback in callbacks:
        if callback.due(step, total):
            callback.call(state)
