"""Initialisations that come from a checkpoint, shared by the objectives."""

from repcon_jax.objectives import Context
from repcon_jax.trees import check_same_structure, signature
from repcon_jax.typing import ModelState, Params


def from_checkpoint(
    context: Context, path: str, part: str, fresh: tuple[Params, ModelState], *, encoder_only: bool = False
) -> tuple[Params, ModelState]:
    """Params and model state of a checkpoint, checked against a fresh initialisation.

    Args:
        context: reads the checkpoint.
        path: folder of one step.
        part: ``params``, or something the objective carried, such as ``teacher``.
        fresh: (params, model_state) of the structure needed.
        encoder_only: take the encoder and keep the fresh head.
    Raises:
        CheckpointError: it is damaged or of another structure; the first differing path is named.
    """
    loaded = context.load(path, part)
    if encoder_only:
        loaded = tuple(
            {**new, "encoder": old.get("encoder", {})} if new else new for old, new in zip(loaded, fresh, strict=True)
        )
    for found, expected in zip(loaded, fresh, strict=True):
        fix = "give a checkpoint of this very model, or the model of the checkpoint"
        check_same_structure(signature(found), signature(expected), f"checkpoint {path}", fix)
    return loaded
