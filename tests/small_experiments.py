"""A small objective and training set that the tests of the step and the loop share."""

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.models import attach_head, create_encoder, create_head
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.training.checkpoints import load_params
from repcon_jax.training.durations import clock
from repcon_jax.training.loop import TrainData
from repcon_jax.training.optimisers import OptimiserConfig, build_optimiser
from repcon_jax.training.step import create_state

IMAGES = jnp.zeros((2, 4, 4, 1))


def identity_views(key, images):
    del key
    return images[None], images[None][:0]


def train_data(num_examples=48, views=identity_views):
    rng = np.random.default_rng(0)
    return TrainData(
        images=jnp.asarray(rng.integers(0, 256, (num_examples, 4, 4, 1)).astype(np.uint8)),
        labels=jnp.asarray(rng.integers(0, 3, num_examples).astype(np.int32)),
        mean=jnp.array([0.5]),
        std=jnp.array([0.25]),
        views=views,
    )


def context(duration="3 epochs", num_views=(1, 0), normalisation="none"):
    encoder = create_encoder("mlp", widths=(8, 6), normalisation=normalisation)
    head = create_head("projector", hidden_sizes=(8,), bottleneck_size=4, output_size=5)
    return Context(attach_head(encoder, head), encoder, head, clock(48, 8, duration), num_views, load_params)


def distillation(duration="3 epochs", num_views=(1, 0), normalisation="none", **options):
    where = context(duration, num_views, normalisation)
    return OBJECTIVES.build("distillation", where, **{"start": "independent"} | options), where.clock


def state_of(objective, time, config=None, seed=0):
    params = jax.eval_shape(objective.start, jax.random.key(seed), IMAGES)[0]
    optimiser = build_optimiser(config or OptimiserConfig(learning_rate=1e-2), time, params)
    return jax.jit(lambda key: create_state(objective, optimiser, key, IMAGES))(jax.random.key(seed)), optimiser
