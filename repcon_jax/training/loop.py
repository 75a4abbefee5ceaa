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
from flax import struct
from jax.sharding import Mesh
from jaxtyping import Array, Int

from repcon_jax.data import epoch_indices, gather, to_float
from repcon_jax.random import stream
from repcon_jax.training.durations import Clock
from repcon_jax.training.mesh import shard_batch
from repcon_jax.training.step import Batch, TrainState
from repcon_jax.typing import Key, MetricRows, Metrics, PyTree

Step = Callable[[TrainState, Batch, Key], tuple[TrainState, Metrics]]
Views = Callable[[Key, Array], tuple[Array, Array]]

# Short chunks keep the bar alive and a stop prompt. But each draws the order of its epoch anew, once for every seed or
# member, and on a CPU faults its temporary memory in anew, which took as long as a step on a busy virtual machine.
_SECONDS_PER_CHUNK = 5.0
# Slow steps are worth a longer wait.
_FEW_STEPS = 4
_MOST_SECONDS_FOR_FEW = 20.0


@struct.dataclass
class TrainData:
    """The training set on the device.

    Leaves are arrays, or what a tree map made of them, hence no annotation of shapes.

    Args:
        images: uint8 [examples, height, width, channels].
        labels: int32 [examples], or None.
        views: key, images in [0, 1] -> (global views, local views).
        drop_last: whether an epoch ends before its incomplete batch.
        mesh: the devices over whose axis ``data`` each batch is spread; None for one device.
        remembered: what the objective remembers of the examples, arrays [examples, ...], or None.
        sources: further training sets, by name, of which every step sees a batch too.
    """

    images: PyTree
    labels: PyTree
    views: Views = struct.field(pytree_node=False)
    drop_last: bool = struct.field(pytree_node=False, default=True)
    mesh: Mesh | None = struct.field(pytree_node=False, default=None)
    remembered: PyTree = None
    sources: dict[str, "TrainData"] = struct.field(default_factory=dict)


def make_batch(data: TrainData, indices: Int[Array, " batch"], key: Key) -> Batch:
    """Gathers and augments the examples at ``indices``."""
    indices = shard_batch(indices, data.mesh)
    views, local_views = data.views(key, to_float(gather(data.images, indices)))
    labels = None if data.labels is None else gather(data.labels, indices)
    views, local_views = (shard_batch(v, data.mesh, axis=1) for v in (views, local_views))
    remembered = jax.tree.map(lambda leaf: gather(leaf, indices), data.remembered)
    return Batch(views, local_views, labels, remembered)


def run_chunk(
    step: Step, clock: Clock, data: TrainData, state: TrainState, num_steps: Int[Array, ""], key: Key
) -> tuple[TrainState, Metrics]:
    """A number of steps within an epoch, as a function to be jitted.

    Args:
        step: from ``build_step``.
        clock: batch size and steps per epoch.
        data: the training set.
        state: where to begin.
        num_steps: must not lead beyond the end of the epoch.
        key: the seed key of the member: data order and augmentation are functions of it and the step.
    Returns:
        The state, and metrics [steps_per_epoch] whose first entries are those of the steps made.
    """
    epoch = state.step // clock.steps_per_epoch
    indices = epoch_indices(key, clock.num_examples, clock.batch_size, epoch, data.drop_last)
    sources = {name: _source_indices(name, source, clock, state.step, key) for name, source in data.sources.items()}
    begin = state.step

    @partial(jax.jit, inline=True)  # so that the step is traced once for its shapes and for the loop
    def one(state: TrainState) -> tuple[TrainState, Metrics]:
        row = indices[state.step - epoch * clock.steps_per_epoch]
        augment = stream(key, "augment", state.step)
        others = {
            name: make_batch(data.sources[name], rows[state.step - begin], stream(augment, name))
            for name, rows in sources.items()
        }
        batch = make_batch(data, row, augment).replace(sources=others)
        return step(state, batch, stream(key, "step", state.step))

    shapes = jax.eval_shape(one, state)[1]
    buffers = {name: jnp.zeros((clock.steps_per_epoch, *m.shape), m.dtype) for name, m in shapes.items()}

    def body(i: Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        state, metrics = one(carry[0])
        return state, {name: carry[1][name].at[i].set(metrics[name]) for name in metrics}

    return jax.lax.fori_loop(0, num_steps, body, (state, buffers))


def _source_indices(
    name: str, source: TrainData, clock: Clock, begin: Int[Array, ""], key: Key
) -> Int[Array, "steps batch"]:
    """The examples of a further source at every step of a chunk: it has epochs of its own, one after the other."""
    count = len(source.images)
    per_epoch = count // clock.batch_size
    epochs = begin // per_epoch + jnp.arange(-(-(clock.steps_per_epoch - 1) // per_epoch) + 1)
    order = partial(epoch_indices, stream(stream(key, "source"), name), count, clock.batch_size)
    rows = jax.lax.map(lambda epoch: order(epoch, True), epochs).reshape(-1, clock.batch_size)
    return jax.lax.dynamic_slice_in_dim(rows, begin % per_epoch, clock.steps_per_epoch)


@dataclasses.dataclass(frozen=True)
class Callback:
    """Something to do at every multiple of ``every`` steps, at extra steps, and at the start and end of the run.

    Args:
        every: period in steps; 0 for never.
        call: receives the state and the number of updates made.
        also: further steps.
    """

    every: int
    call: Callable[[TrainState, int], None]
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
    step: int,
    chunk: Callable[[TrainState, int], tuple[TrainState, Metrics]],
    clock: Clock,
    callbacks: Sequence[Callback],
    *,
    on_metrics: Callable[[dict[str, np.ndarray], int], None] = lambda metrics, step: None,
    should_stop: Callable[[], Any] = lambda: False,
    agree: Callable[[int, bool], tuple[int, bool]] = lambda pace, stop: (pace, stop),
) -> tuple[TrainState, int]:
    """Runs to the end of the clock, or until asked to stop.

    Args:
        state: where to begin; its buffers are donated.
        step: number of updates that it has behind it.
        chunk: state, number of steps -> state, metrics whose last axis is the step; see ``run_chunk``.
        clock: length of the run and of an epoch.
        callbacks: called in order; at the start only where ``step`` is 0.
        on_metrics: receives the metrics of every step of a chunk, [..., steps], and the step before them.
        should_stop: asked between chunks, see ``steps_per_chunk``.
        agree: what all hosts make of the pace and the wish to stop of each.
    Returns:
        The last state, and the number of updates that it has behind it.
    """
    total = clock.total_steps
    if step == 0:
        _call(callbacks, state, 0, total)
    pace = 1
    while step < total:
        pace, stop = agree(pace, bool(should_stop()))
        if stop:
            break
        boundary = min([_epoch_end(step, clock), *(c.next_after(step, total) for c in callbacks)])
        count = min(pace, boundary - step)
        began = time.monotonic()
        state, metrics = chunk(state, count)
        host = {name: np.asarray(values)[..., :count] for name, values in metrics.items()}
        seconds = max(time.monotonic() - began, 1e-6)
        pace = min(4 * pace, steps_per_chunk(seconds / count))
        on_metrics(host, step)
        step += count
        _call(callbacks, state, step, total)
    return state, step


def steps_per_chunk(seconds_per_step: float) -> int:
    """As many steps as fill five seconds, or four where these take no longer than twenty, but at least one.

    Args:
        seconds_per_step: of the chunk before.

    >>> [steps_per_chunk(seconds) for seconds in (0.01, 0.9, 3.0, 6.0, 60.0)]
    [500, 6, 4, 3, 1]
    """
    few = min(_FEW_STEPS, math.floor(_MOST_SECONDS_FOR_FEW / seconds_per_step))
    return max(1, few, math.ceil(_SECONDS_PER_CHUNK / seconds_per_step))


def _epoch_end(step: int, clock: Clock) -> int:
    return (step // clock.steps_per_epoch + 1) * clock.steps_per_epoch


def rows_of(metrics: dict[str, np.ndarray]) -> MetricRows:
    """One dict a step from arrays [steps].

    >>> rows_of({"loss": np.array([2.0, 1.0])})
    [{'loss': 2.0}, {'loss': 1.0}]
    """
    count = len(next(iter(metrics.values())))
    return [{name: float(values[i]) for name, values in metrics.items()} for i in range(count)]


def _call(callbacks: Sequence[Callback], state: TrainState, step: int, total: int) -> None:
    for callback in callbacks:
        if callback.due(step, total):
            callback.call(state, step)
