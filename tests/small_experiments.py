"""A small objective and training set that the tests of the step and the loop share."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.models import Pixels, attach_head, create_encoder, create_head
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.run.networks import describe_networks, load_network
from repcon_jax.training.checkpoints import Checkpoints
from repcon_jax.training.durations import clock
from repcon_jax.training.loop import TrainData, run_chunk
from repcon_jax.training.optimisers import OptimiserConfig, build_optimiser, frozen_paths
from repcon_jax.training.step import Batch, Inputs, build_step, create_state, scalars_at

IMAGES = jnp.zeros((2, 4, 4, 1))
PIXELS = Pixels((0.5,), (0.25,))


def identity_views(key, images):
    del key
    return images[None], images[None][:0]


def train_data(num_examples=48, views=identity_views, seed=0, **fields):
    rng = np.random.default_rng(seed)
    return TrainData(
        images=jnp.asarray(rng.integers(0, 256, (num_examples, 4, 4, 1)).astype(np.uint8)),
        labels=jnp.asarray(rng.integers(0, 3, num_examples).astype(np.int32)),
        views=views,
        **fields,
    )


def context_of(model, time, num_views=(1, 0), load=load_network, **fields):
    return Context(model, PIXELS, time, num_views, load, **fields)


def context(duration="3 epochs", num_views=(1, 0), normalisation="none"):
    encoder = create_encoder("mlp", widths=(8, 6), normalisation=normalisation)
    head = create_head("projector", hidden_sizes=(8,), bottleneck_size=4, output_size=5)
    return context_of(attach_head(encoder, head), clock(48, 8, duration), num_views)


def distillation(duration="3 epochs", num_views=(1, 0), normalisation="none", **options):
    where = context(duration, num_views, normalisation)
    return OBJECTIVES.build("distillation", where, **{"start": "independent"} | options), where.clock


def start_of(objective, key=None, images=IMAGES):
    """Params, model state and what is carried before the first step."""
    return objective.start(jax.random.key(0) if key is None else key, images, scalars_at(objective.scalars, 0))


def inputs_of(objective, state, batch=None, key=None):
    """What the functions of an objective read at a state."""
    scalars = scalars_at(objective.scalars, state.step)
    return Inputs(state.params, state.model_state, state.carried, state.step, scalars, batch, key)


def unseen(images, labels=None):
    """Images in [0, 1] as the batch that is evaluated."""
    return Batch(images[None], images[None][:0], labels)


def state_of(objective, time, config=None, seed=0):
    config = config or OptimiserConfig(learning_rate=1e-2)
    params = jax.eval_shape(partial(start_of, objective), jax.random.key(seed))[0]
    optimiser, frozen = build_optimiser(config, time, params), frozen_paths(config, params)
    state = jax.jit(lambda key: create_state(objective, optimiser, key, IMAGES, frozen=frozen))(jax.random.key(seed))
    return state, optimiser


def chunk_of(objective, optimiser, data, time, accumulation=1, **options):
    """State, number of steps, key -> state and metrics; the state is donated."""
    step = build_step(objective, optimiser, accumulation, **options)
    return partial(jax.jit(partial(run_chunk, step, time), donate_argnums=1), data)


def same_bits(first, second):
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


def save(directory, state, where):
    """The folder of a checkpoint of the state, which says whose model its parameters are."""
    checkpoints = Checkpoints(directory)
    trained = where.network(state.params, state.model_state)
    checkpoints.save(int(state.step), state, {}, describe_networks(trained, state.carried, IMAGES.shape[1:3]))
    checkpoints.close()
    return str(directory / str(int(state.step)))


def with_step(state, step):
    return dataclasses.replace(state, step=jnp.int32(step))
