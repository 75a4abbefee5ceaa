"""Networks as folders: a checkpoint that references read, and a plain Orbax tree for other programs."""

import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from repcon_jax.errors import CheckpointError
from repcon_jax.models import Network
from repcon_jax.records.files import write_json
from repcon_jax.run.networks import describe_network
from repcon_jax.training.checkpoints import Checkpoints
from repcon_jax.training.step import TrainState


def write_checkpoint(network: Network, directory: pathlib.Path) -> pathlib.Path:
    """Writes a network as the checkpoint of a run that never trained.

    Args:
        network: with pixels that have a size.
        directory: of the run; it must hold no checkpoint yet.
    Returns:
        The checkpoint's folder, which is a reference to the network.
    Raises:
        CheckpointError: there is a checkpoint already.
    """
    folder = directory / "checkpoints" / "weights"
    check_free(folder / "0")
    mask = jax.tree.map(lambda leaf: np.ones(leaf.shape, bool), network.params)
    state = TrainState(np.int32(0), network.params, network.model_state, {}, mask, {})
    checkpoints = Checkpoints(folder)
    checkpoints.save(0, state, {}, {"params": describe_network(network, network.pixels.size)})
    checkpoints.close()
    return folder / "0"


def write_orbax(network: Network, directory: pathlib.Path, about: dict[str, Any]) -> None:
    """Writes ``weights/``, which any program restores with Orbax's StandardCheckpointer, and ``network.json``.

    Args:
        network: its parameters and model state become ``{"params": ..., "model_state": ...}``.
        directory: that does not exist.
        about: what the network is, as JSON values.
    Raises:
        CheckpointError: it exists.
    """
    check_free(directory)
    with ocp.StandardCheckpointer() as checkpointer:
        tree = {"params": network.params, "model_state": network.model_state}
        checkpointer.save(directory.absolute() / "weights", jax.tree.map(np.asarray, tree))
    write_json(directory / "network.json", about)


def check_free(path: pathlib.Path) -> None:
    """Raises CheckpointError where a file or folder exists, so that nothing is written over."""
    if path.exists():
        raise CheckpointError(f"{path} exists already; move it away or give another place.")
