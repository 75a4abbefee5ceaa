"""The adapted encoder as a model: the parameters that it had, and the small ones beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array

from repcon_jax.models.model import Model, Origin
from repcon_jax.random import stream
from repcon_jax.typing import Key, ModelState, Params


def adapt(encoder: Model, adapter: Any, name: str = "", options: Mapping[str, Any] | None = None) -> Model:
    """The encoder that computes with ``adapter.merge(backbone, small)``.

    Args:
        encoder: what is adapted.
        adapter: see ``repcon_jax.adapters.Adapter``.
        name, options: with which a registry built the adapter, so that checkpoints can say it.
    Returns:
        A model whose params are ``{"backbone": the encoder's, "adapter": the small ones}`` and whose model state is
        ``{"backbone": the encoder's}``. A rule ``("^encoder/backbone/", "set(frozen='always')")`` freezes the backbone.

    Source: He et al., arXiv 2110.04366, section 3, for adapters that change weights.
    """
    origin = Origin("adapter", name, tuple(sorted((options or {}).items())))
    return Model(_Init(encoder, adapter), _Apply(encoder, adapter), origin, (("backbone", encoder),))


def has_backbone(params: Params) -> bool:
    """Whether an encoder's parameters are those of an adapted one."""
    return isinstance(params, Mapping) and set(params) == {"backbone", "adapter"}


@dataclass(frozen=True)
class _Init:
    encoder: Model
    adapter: Any

    def __call__(self, key: Key, inputs: Array) -> tuple[Params, ModelState]:
        params, state = self.encoder.init(key, inputs)
        small = self.adapter.init(stream(key, "adapter"), params)
        return {"adapter": small, "backbone": params}, {"backbone": state}


@dataclass(frozen=True)
class _Apply:
    encoder: Model
    adapter: Any

    def __call__(
        self, params: Params, model_state: ModelState, inputs: Array, train: bool = False, intermediates: bool = False
    ) -> tuple[Any, ...]:
        merged = self.adapter.merge(params["backbone"], params["adapter"])
        output, state, *features = self.encoder.apply(merged, model_state["backbone"], inputs, train, intermediates)
        return output, {"backbone": state}, *features
