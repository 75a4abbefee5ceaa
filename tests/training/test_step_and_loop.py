import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiments import chunk_of, distillation, same_bits, state_of, train_data

from repcon_jax.training import loop
from repcon_jax.training.durations import clock
from repcon_jax.training.loop import Callback, make_batch, rows_of, train
from repcon_jax.training.optimisers import OptimiserConfig
from repcon_jax.training.step import apply_mask, build_step

KEY = jax.random.key(0)


def run(chunk_sizes, seed=0):
    objective, time = distillation()
    state, optimiser = state_of(objective, time, seed=seed)
    chunk = chunk_of(objective, optimiser, train_data(), time)
    losses = []
    for size in chunk_sizes:
        state, metrics = chunk(state, jnp.int32(size), jax.random.key(seed))
        losses.extend(np.asarray(metrics["loss"])[:size])
    return state, losses


@pytest.mark.slow
def test_where_a_run_is_cut_into_chunks_changes_no_bit():
    whole, losses = run([6, 6])
    cut, cut_losses = run([1, 2, 3, 5, 1])
    assert same_bits(whole, cut)
    assert losses == cut_losses
    assert not same_bits(whole.params, run([6, 6], seed=1)[0].params)


def test_a_chunk_equals_its_steps_one_by_one():
    objective, time = distillation()
    data = train_data()
    state, optimiser = state_of(objective, time)
    chunk, step = chunk_of(objective, optimiser, data, time), jax.jit(build_step(objective, optimiser))
    by_hand, _ = state_of(objective, time)
    from repcon_jax.data import epoch_indices
    from repcon_jax.random import stream

    for i in range(8):
        rows = epoch_indices(KEY, 48, 8, i // 6)[i % 6]
        by_hand, _ = step(by_hand, make_batch(data, rows, stream(KEY, "augment", i)), stream(KEY, "step", i))
    state, _ = chunk(state, jnp.int32(6), KEY)
    state, _ = chunk(state, jnp.int32(2), KEY)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(by_hand.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_masked_weights_stay_exactly_zero_through_momentum_decay_and_batch_norm(name):
    objective, time = distillation("50 steps", normalisation="batch")
    config = OptimiserConfig(name, learning_rate=0.05, weight_decay=0.1, momentum=0.9)
    state, optimiser = state_of(objective, time, config)
    keep = jax.tree.map(lambda p: jax.random.bernoulli(KEY, 0.5, p.shape), state.params)

    def density_of_zeros(mask):
        begin = dataclasses.replace(state, params=apply_mask(state.params, keep), mask=mask)
        # A weight with a momentum of its own is what comes back where the mask is left out.
        chunk = chunk_of(objective, optimiser, train_data(), time)
        end = begin
        for _ in range(8):
            end, _ = chunk(jax.tree.map(jnp.copy, end), jnp.int32(6), KEY)
        zeros = jax.tree.map(lambda p, k: jnp.sum((p == 0) & ~k), end.params, keep)
        return sum(int(z) for z in jax.tree.leaves(zeros))

    masked = sum(int(jnp.sum(~k)) for k in jax.tree.leaves(keep))
    assert density_of_zeros(keep) == masked
    assert density_of_zeros(state.mask) < masked / 2


def test_callbacks_come_at_the_start_the_end_and_their_multiples():
    objective, time = distillation()
    state, optimiser = state_of(objective, time)
    chunk = chunk_of(objective, optimiser, train_data(), time)
    seen, rows = [], []
    callbacks = [
        Callback(7, lambda s, step: seen.append(int(s.step)), also=(3,)),
        Callback(0, lambda s, step: seen.append(-step)),
    ]
    run = lambda state, count: chunk(state, jnp.int32(count), KEY)  # noqa: E731
    final, step = train(state, 0, run, time, callbacks, on_metrics=lambda m, step: rows.extend(rows_of(m)))
    assert seen == [0, 0, 3, 7, 14, 18, -18]
    assert int(final.step) == step == len(rows) == 18
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_a_request_to_stop_is_heard_between_chunks():
    objective, time = distillation("100 epochs")
    state, optimiser = state_of(objective, time)
    chunk = chunk_of(objective, optimiser, train_data(), time)
    steps = []
    state, step = train(
        state,
        0,
        lambda state, count: chunk(state, jnp.int32(count), KEY),
        time,
        [],
        on_metrics=lambda metrics, step: steps.append(len(metrics["loss"])),
        should_stop=lambda: sum(steps) >= 3,
    )
    assert 3 <= int(state.step) == step < time.total_steps


def test_chunks_of_slow_steps_grow_to_a_few_steps(monkeypatch):
    now, counts = [0.0], []
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])

    def chunk(state, count):
        now[0] += 3.0 * count
        counts.append(count)
        return state, {"loss": np.zeros(18)}

    state, _ = state_of(*distillation())
    train(state, 0, chunk, clock(72, 4, "1 epochs"), [])
    assert counts == [1, 4, 4, 4, 4, 1]


def test_accumulated_gradients_are_those_of_the_whole_batch():
    objective, time = distillation(num_views=(2, 1))

    def views(key, images):
        return jnp.stack([images, images[:, ::-1]]), images[None] / 2

    data, state = train_data(views=views), None
    ends = []
    for accumulation in (1, 4):
        state, optimiser = state_of(objective, time, OptimiserConfig("sgd", learning_rate=0.1))
        chunk = chunk_of(objective, optimiser, data, time, accumulation)
        ends.append(chunk(state, jnp.int32(6), KEY))
    for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6)
