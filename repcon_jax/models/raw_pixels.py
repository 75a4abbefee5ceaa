"""What stands beside networks as one: the image itself."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array

from repcon_jax.data import to_float
from repcon_jax.models.model import Model, attach_head
from repcon_jax.models.network import Network
from repcon_jax.models.registries import HEADS
from repcon_jax.typing import Key, ModelState, Params


def raw_pixels() -> Network:
    """A network without parameters whose embedding and logits are the image in [0, 1], flattened.

    >>> import jax.numpy as jnp
    >>> raw_pixels().apply(jnp.ones((2, 4, 4, 3)))[0].embedding.shape
    (2, 48)
    """
    model = attach_head(Model(_no_parameters, _Flatten()), HEADS.build("identity"))
    return Network({"encoder": {}, "head": {}}, {"encoder": {}, "head": {}}, model)


def _no_parameters(key: Key, inputs: Array) -> tuple[Params, ModelState]:
    return {}, {}


@dataclass(frozen=True)
class _Flatten:
    def __call__(
        self, params: Params, model_state: ModelState, inputs: Array, train: bool = False, intermediates: bool = False
    ) -> tuple[Any, ...]:
        flat = to_float(inputs).reshape(len(inputs), -1)
        return (flat, model_state, OrderedDict(embedding=flat)) if intermediates else (flat, model_state)
