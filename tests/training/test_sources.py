"""Every step sees a batch of each further source, which has epochs of its own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiments import train_data

from repcon_jax.training.durations import clock
from repcon_jax.training.loop import run_chunk
from repcon_jax.training.step import Batch, TrainState, split_batch

TIME = clock(48, 8, "10 epochs")
SIZES = {"small": 20, "like": 20, "equal": 48, "large": 200}


def numbered(count, views=None, **fields):
    """Examples whose labels are their numbers."""
    data = train_data(count, **({} if views is None else {"views": views}))
    return data.replace(labels=jnp.arange(count), **fields)


DATA = numbered(48, sources={name: numbered(count) for name, count in SIZES.items()})


def seen(chunks, seed=0, data=DATA, see=lambda batch: {n: b.labels for n, b in batch.sources.items()}):
    """What a step sees, [steps, batch] by source, when the steps are made in chunks of these sizes."""

    def step(state, batch, key):
        return state.replace(step=state.step + 1), {"main": batch.labels, **see(batch)}

    chunk = jax.jit(partial(run_chunk, step, TIME))
    state, rows = TrainState(jnp.int32(0), {}, {}, {}, {}, {}), []
    for count in chunks:
        state, metrics = chunk(data, state, jnp.int32(count), jax.random.key(seed))
        rows.append({name: np.asarray(values)[:count] for name, values in metrics.items()})
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("name", SIZES)
def test_a_source_is_seen_in_epochs_without_repetition(name):
    rows = seen([6] * 10)[name]
    assert rows.shape == (60, 8)
    per_epoch = SIZES[name] // 8
    epochs = [rows[i : i + per_epoch].ravel() for i in range(0, 60 - per_epoch + 1, per_epoch)]
    assert all(len(np.unique(epoch)) == len(epoch) for epoch in epochs)
    assert all(epoch.min() >= 0 and epoch.max() < SIZES[name] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)  # each in an order of its own
    assert set(rows.ravel()) == set(range(SIZES[name]))


def test_where_a_run_is_cut_changes_no_batch():
    whole = seen([6] * 10)
    for chunks in ([1, 2, 3, 6, 5, 1, 4, 2], [3, 3] * 3):
        cut = seen(chunks)
        assert all(np.array_equal(cut[name], rows[: len(cut[name])]) for name, rows in whole.items())


def test_sources_of_one_size_and_seeds_have_orders_of_their_own():
    rows, others = seen([6]), seen([6], seed=1)
    assert not np.array_equal(rows["small"], rows["like"])
    assert not np.array_equal(rows["main"], rows["equal"])
    assert not any(np.array_equal(rows[name], others[name]) for name in rows)


def test_without_sources_the_training_set_is_seen_in_the_same_order():
    assert np.array_equal(seen([6, 6])["main"], seen([6, 6], data=DATA.replace(sources={}))["main"])


def test_a_source_is_augmented_by_its_own_views_and_randomness():
    def noise(key, images):
        return jax.random.uniform(key, (2, *images.shape)), images[None][:0]

    sources = {"one": numbered(48, noise), "two": numbered(48, noise)}
    data = numbered(48, noise, sources=sources)

    def views(batch):
        return {name: b.views for name, b in {"own": batch, **batch.sources}.items()}

    by_source = seen([2, 1], data=data, see=views)
    assert by_source["one"].shape == (3, 2, 8, 4, 4, 1)
    drawn = [step.tobytes() for name in ("own", "one", "two") for step in by_source[name]]
    assert len(set(drawn)) == 9


def test_parts_of_a_batch_have_parts_of_its_sources():
    def batch(labels):
        images = jnp.broadcast_to(labels[None, :, None, None, None] / 255, (1, len(labels), 2, 2, 1))
        return Batch(images, images[:0], labels)

    whole = batch(jnp.arange(8)).replace(sources={"other": batch(jnp.arange(10, 18))})
    parts = [split_batch(whole, 2, i).sources["other"].labels for i in range(2)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(10, 18))
