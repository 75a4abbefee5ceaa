"""Several networks side by side as one, for what they know together."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from repcon_jax.merging.method import MERGING_METHODS, Merge
from repcon_jax.models import Model, Network, Pixels, attach_head, create_head
from repcon_jax.typing import Key, ModelState, Params


@MERGING_METHODS.register("concatenation")
def concatenation() -> Merge:
    """The network whose embedding is those of all networks in a row, [e_1, ..., e_n]; its logits are the same.

    The networks may differ in everything: each sees images with its own pixels. Their layers keep their names, after
    the number of the network and a point, as in ``2.block3``.
    """

    def merge(networks: Sequence[Network]) -> Network:
        encoders = [network.encoder for network in networks]
        names = [str(number) for number in range(1, len(encoders) + 1)]
        parts = tuple((name, one.model, one.pixels) for name, one in zip(names, encoders, strict=True))
        model = attach_head(Model(_no_start, _SideBySide(parts)), create_head("identity"))
        params, state = (
            {name: getattr(one, part) for name, one in zip(names, encoders, strict=True)} for part in _PARTS
        )
        return Network({"encoder": params, "head": {}}, {"encoder": state, "head": {}}, model)

    return merge


_PARTS = ("params", "model_state")


def _no_start(key: Key, inputs: Array) -> tuple[Params, ModelState]:
    raise NotImplementedError("networks side by side are made of networks, not drawn")


@dataclass(frozen=True)
class _SideBySide:
    parts: tuple[tuple[str, Model, Pixels | None], ...]

    def __call__(
        self, params: Params, model_state: ModelState, inputs: Array, train: bool = False, intermediates: bool = False
    ) -> tuple[Any, ...]:
        applied = {
            name: Network(params[name], model_state[name], model, pixels).apply(inputs, train, intermediates)
            for name, model, pixels in self.parts
        }
        embedding = jnp.concatenate([results[0].reshape(len(inputs), -1) for results in applied.values()], axis=1)
        state = {name: results[1] for name, results in applied.items()}
        if not intermediates:
            return embedding, state
        named = [(f"{name}.{layer}", value) for name, results in applied.items() for layer, value in results[2].items()]
        return embedding, state, OrderedDict(named, embedding=embedding)
