"""The networks of a landscape by reference, each with the model and the pixels of the run that it comes from."""

import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp

from repcon_jax.data import Splits
from repcon_jax.models import Network, Pixels, fit
from repcon_jax.run.config import ExperimentConfig
from repcon_jax.run.networks import create_model
from repcon_jax.run.references import load_network
from repcon_jax.run.runs import Runs


class Loaded(NamedTuple):
    """A network from a checkpoint.

    Attributes:
        name: its reference.
        network: of a trained curve, its bends, along a leading axis of every parameter.
        digest: of its arrays, which tells it from another one.
    """

    name: str
    network: Network
    digest: str


def template_of(run: ExperimentConfig, splits: Splits) -> Network:
    """A network of a run, with shapes for arrays.

    Args:
        run: gives encoder and head.
        splits: its data, on which the network was trained.
    """
    _, _, model = create_model(run, splits)
    shape = splits.train.images.shape[1:]
    shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    mean, std = (tuple(map(float, channels)) for channels in (splits.mean, splits.std))
    return Network(*shapes, model, Pixels(mean, std, shape[:2]))


def load(reference: str, template: Network, workdir: pathlib.Path, runs: Runs, is_curve: bool = False) -> Loaded:
    """Reads a network.

    Args:
        reference: of a single network.
        template: of its run.
        workdir: of the landscape.
        runs: of the landscape.
        is_curve: whether it is a trained curve.
    Raises:
        CheckpointError: the step was never saved.
        TreeError: its shapes are not the template's.
    """
    _, params, model_state, digest = load_network(reference, workdir, runs)
    expected = template.params
    if is_curve:
        bends = jax.tree.leaves(params)[0].shape[:1]
        expected = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(bends + leaf.shape, leaf.dtype), expected)
    params, model_state = fit(params, model_state, (expected, template.model_state), reference)
    return Loaded(reference, template.replace(params=params, model_state=model_state), digest)
