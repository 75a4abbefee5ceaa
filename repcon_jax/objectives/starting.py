"""Initialisations that come from a checkpoint, and what objectives require, shared by them."""

import jax
import jax.numpy as jnp

from repcon_jax.adapters import has_backbone
from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.models import Network, fit
from repcon_jax.objectives import Context
from repcon_jax.trees import check_same_structure, signature
from repcon_jax.typing import ModelState, Params


def from_checkpoint(
    context: Context, path: str, part: str, fresh: tuple[Params, ModelState], *, encoder_only: bool = False
) -> tuple[Params, ModelState]:
    """Params and model state of a checkpoint, checked against a fresh initialisation and in its structure.

    Args:
        context: reads the checkpoint.
        path: folder of one step.
        part: ``params``, or something the objective carried, such as ``teacher``.
        fresh: (params, model_state) of the structure needed, or their shapes; an adapter that the checkpoint lacks is
            taken from it.
        encoder_only: take the encoder and keep the fresh head.
    Raises:
        CheckpointError: it is damaged or of another structure; the first differing path is named.
    """
    network = context.load(path, part)
    trees = _with_adapter(network.params, network.model_state, fresh)
    if encoder_only:
        trees = tuple(
            {**new, "encoder": old.get("encoder", {})} if new else new for old, new in zip(trees, fresh, strict=True)
        )
    for tree, expected in zip(trees, fresh, strict=True):
        fix = "give a checkpoint of this very model, or the model of the checkpoint"
        check_same_structure(signature(tree), signature(expected), f"checkpoint {path}", fix)
    return fit(*trees, fresh, path)


def _with_adapter(
    params: Params, model_state: ModelState, fresh: tuple[Params, ModelState]
) -> tuple[Params, ModelState]:
    """The same with a fresh adapter, where the run's encoder has one and that of the checkpoint is its backbone."""
    adapted = fresh[0].get("encoder")
    if not has_backbone(adapted) or has_backbone(params.get("encoder")):
        return params, model_state
    encoder = {**adapted, "backbone": params.get("encoder", {})}
    backbone = {"backbone": model_state.get("encoder", {})}
    return {**params, "encoder": encoder}, {**model_state, "encoder": backbone}


def with_own_buffers(network: Network) -> Network:
    """The same network in arrays of its own, since what a donated state carries must share none with the rest."""
    return jax.tree.map(jnp.copy, network)


def require_path(option: str, value: str, path_option: str, path: str | None) -> None:
    """Raises ArgumentError where an option asks for a checkpoint and there is no path."""
    if value == "checkpoint" and path is None:
        raise ArgumentError(path_option, f"is None but {option} is 'checkpoint'", "give a folder of one step")


def require_one_head(context: Context, objective: str) -> None:
    """Raises ConfigError where the run's model has several heads, by name, and the objective takes one."""
    origin = context.model.part("head").origin
    if origin is not None and origin.kind == "heads":
        raise ConfigError(
            f"objective {objective!r} takes one head but heads names several; give --config.head instead of them."
        )
