"""What is trained: encoders and heads by name, each a pair of pure functions ``init`` and ``apply``."""

from typing import Any

from repcon_jax.models.architecture import INPUTS, Architecture, Attention, Blocks, Layer
from repcon_jax.models.description import describe, rebuild
from repcon_jax.models.model import (
    Model,
    Outputs,
    attach_head,
    check_input,
    declared,
    embedding_size,
    from_linen,
    join_heads,
    parameter_count,
)
from repcon_jax.models.network import Network, fit
from repcon_jax.models.pixels import Pixels, normalise
from repcon_jax.models.raw_pixels import raw_pixels
from repcon_jax.models.registries import ENCODERS, HEADS


def create_encoder(name: str, **options: Any) -> Model:
    """The encoder called ``name``, from images ``[batch, height, width, channels]`` to embeddings ``[batch, size]``.

    Args:
        name: one of ``ENCODERS.names()``.
        **options: see ``ENCODERS.options(name)``.
    Raises:
        ConfigError: the name or an option does not exist, has a wrong type or is out of range.

    >>> embedding_size(create_encoder("vgg11", width=0.25), (32, 32, 3))
    128
    """
    return ENCODERS.build(name, **options)


def create_head(name: str, **options: Any) -> Model:
    """The head called ``name``, from embeddings ``[batch, size]`` to logits ``[batch, outputs]``, both float32.

    Args:
        name: one of ``HEADS.names()``.
        **options: see ``HEADS.options(name)``.
    Raises:
        ConfigError: the name or an option does not exist, has a wrong type or is out of range.
    """
    return HEADS.build(name, **options)


__all__ = [
    "ENCODERS",
    "HEADS",
    "INPUTS",
    "Architecture",
    "Attention",
    "Blocks",
    "Layer",
    "Model",
    "Network",
    "Outputs",
    "Pixels",
    "attach_head",
    "check_input",
    "create_encoder",
    "create_head",
    "declared",
    "describe",
    "embedding_size",
    "fit",
    "from_linen",
    "join_heads",
    "normalise",
    "parameter_count",
    "raw_pixels",
    "rebuild",
]
