"""Runs that take a second, from configs in plain values, and what they leave."""

import jax

from repcon_jax import losses
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.random import stream
from repcon_jax.run.config import parse_config
from repcon_jax.run.experiment import build_experiment
from repcon_jax.run.members import Group, points_of, seeds_of
from repcon_jax.training.checkpoints import Checkpoints
from repcon_jax.training.step import Objective
from repcon_jax.typing import Scalar

DIGITS = {"name": "digits", "options": {"image_size": 8}, "subset": 48, "holdout": 0.0}
SCENES = {"name": "scenes", "options": {"num_examples": 40}, "holdout": 0.0}
PROJECTOR = {"name": "projector", "hidden_sizes": (8,), "bottleneck_size": 4, "output_size": 5}
CONVNET = {"name": "convnet", "width": 0.05, "num_stages": 2, "normalisation": "batch", "convolution": "xla"}
FROZEN_BACKBONE = (("^encoder/backbone/", "set(frozen='always')"), (".*", "default"))
LORA = {"name": "lora", "rank": 2, "kernels": "linear1/kernel$"}


def config_of(**changes):
    values = {
        "title": "tiny",
        "data": DIGITS,
        "encoder": {"name": "mlp", "widths": (8,)},
        "head": PROJECTOR,
        "objective": {"name": "distillation", "start": "independent"},
        "optimiser": {"name": "sgd", "learning_rate": 0.05},
        "probe": {"probes": (), "during": "none"},
        "batch_size": 8,
        "duration": "12 steps",
        "log_every": "4 steps",
        "checkpoint": {"every": "6 steps"},
        "evaluate": False,
        "figures": False,
    }
    return parse_config(values | changes)


def group_of(experiment):
    return Group(seeds_of(experiment.config), tuple(range(len(points_of(experiment.config)))))


def first_state(experiment):
    """The state of the first member before its first step."""
    members = experiment.members(Group(seeds_of(experiment.config)[:1], (0,)))
    values = {name: column[0] for name, column in members.values.items()}
    return jax.jit(experiment.recipe.initial_state)(members.seeds[0], values)


def advance(experiment, steps, state=None):
    """The population after a number of steps within its first epoch, metrics, and the program."""
    group = group_of(experiment)
    program, members = experiment.program(group), experiment.members(group)
    state = program.initial_state(members) if state is None else state
    state, metrics = program.chunk(program.data_with(program.remembered(state, members)), state, steps, members)
    return state, {name: values[..., :steps] for name, values in metrics.items()}, program


def checkpoint_of(folder, config, step=0):
    """The folder of a checkpoint as a run of the config would write it, and the networks in it by part."""
    experiment = build_experiment(config)
    state = first_state(experiment)
    checkpoints = Checkpoints(folder)
    checkpoints.save(step, jax.device_get(state), {}, experiment.descriptions(state))
    checkpoints.close()
    trained = experiment.context.network(state.params, state.model_state)
    return str(folder / str(step)), {"params": trained, **state.carried}


def two_heads(context, *, weight: Scalar = 1.0):
    """Cross-entropy of one head with the labels of the training set, and of another with those of a source."""

    def start(key, images, scalars):
        del scalars
        return (*context.model.init(stream(key, "model"), images), {})

    def loss(inputs):
        value, state, metrics = 0.0, inputs.model_state, {}
        for name, batch in {"own": inputs.batch, **inputs.batch.sources}.items():
            (_, logits), state = context.network(inputs.params, state).apply(batch.views[0], True)
            part = losses.softmax_cross_entropy_with_labels(logits[name], batch.labels)
            metrics[name] = part
            value = value + (1.0 if name == "own" else weight) * part
        return value, (state, inputs.carried, metrics)

    def networks(inputs):
        return {"encoder": context.network(inputs.params, inputs.model_state)}

    def evaluate(inputs):
        return {}

    return Objective(start, loss, evaluate, networks, changing=("encoder",), uses_labels=True)


OBJECTIVES.register("two_heads")(two_heads)
TWO_HEADS = {
    "head": None,
    "heads": {"own": {"name": "linear"}, "scenes": {"name": "linear"}},
    "sources": {"scenes": SCENES},
    "objective": {"name": "two_heads"},
}
