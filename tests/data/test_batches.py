import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.data import epoch_indices, epoch_permutation, gather, steps_per_epoch, to_float
from repcon_jax.errors import ArgumentError
from repcon_jax.models.pixels import normalise

KEY = jax.random.key(0)


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (12, 4), (15, 4), (7, 6)])
def test_every_example_appears(n, batch_size, drop_last):
    indices = np.asarray(epoch_indices(KEY, n, batch_size, 0, drop_last))
    steps = steps_per_epoch(n, batch_size, drop_last)
    assert indices.shape == (steps, batch_size)
    counts = np.bincount(indices.ravel(), minlength=n)
    if drop_last:
        assert counts.max() == 1
        assert steps == n // batch_size
    else:
        assert counts.min() == 1, "an example was left out"
        assert counts.sum() - n < batch_size


def test_the_last_batch_wraps_around():
    order = epoch_permutation(KEY, 10, 3)
    indices = epoch_indices(KEY, 10, 4, 3, drop_last=False)
    assert indices[2].tolist() == [*order[8:].tolist(), *order[:2].tolist()]


def test_order_is_a_function_of_seed_and_epoch():
    first = epoch_permutation(KEY, 100, 5)
    assert sorted(first.tolist()) == list(range(100))
    assert np.array_equal(first, jax.jit(epoch_permutation, static_argnums=1)(KEY, 100, jnp.int32(5)))
    assert not np.array_equal(first, epoch_permutation(KEY, 100, 6))
    assert not np.array_equal(first, epoch_permutation(jax.random.key(1), 100, 5))


@pytest.mark.parametrize("batch_size", [0, 11])
def test_batch_size_out_of_range(batch_size):
    with pytest.raises(ArgumentError, match=r"batch_size is \d+ but must lie in \[1, 10\]"):
        epoch_indices(KEY, 10, batch_size, 0)


def test_gather(tiny):
    indices = np.array([[3, 3], [29, 0]])
    assert np.array_equal(gather(jnp.asarray(tiny.images), jnp.asarray(indices)), tiny.images[indices])
    assert np.array_equal(gather(jnp.asarray(tiny.labels), jnp.asarray(indices)), tiny.labels[indices])


def test_normalise_has_mean_zero_and_deviation_one(tiny):
    pixels = tiny.images / 255
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    normalised = normalise(tiny.images, mean.astype(np.float32), std.astype(np.float32))
    assert np.allclose(normalised.mean((0, 1, 2)), 0, atol=1e-6)
    assert np.allclose(normalised.std((0, 1, 2)), 1, atol=1e-5)
    assert np.array_equal(normalised, normalise(to_float(tiny.images), jnp.float32(mean), jnp.float32(std)))


def test_normalise_only_centres_a_constant_channel():
    images = np.full((2, 3, 3, 1), 51, np.uint8)
    assert np.allclose(normalise(images, np.float32([0.2]), np.float32([0.0])), 0, atol=1e-7)


def test_white_is_exactly_one():
    assert to_float(jnp.full((1, 1, 1, 1), 255, jnp.uint8)).item() == 1.0
