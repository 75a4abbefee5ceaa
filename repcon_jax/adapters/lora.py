"""Low-rank adaptation: a product of two thin matrices is added to chosen kernels."""

import math
import re
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from repcon_jax.adapters import ADAPTERS
from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.random import stream
from repcon_jax.trees import map_named, named_leaves
from repcon_jax.typing import Key, Params


@dataclass(frozen=True)
class Lora:
    """See ``lora``."""

    rank: int
    alpha: float
    kernels: str

    def init(self, key: Key, params: Params) -> Params:
        """``{path: {"down": [inputs, rank], "up": [rank, outputs]}}``; up is zero, so that nothing changes at first."""
        leaves = named_leaves(params)
        chosen = [name for name, leaf in leaves.items() if leaf.ndim >= 2 and re.search(self.kernels, name)]
        if not chosen:
            raise ArgumentError(
                "kernels", f"is {self.kernels!r}, which finds none of {', '.join(list(leaves)[:6])}, ..."
            )
        return {name: self._pair(stream(key, name), leaves[name]) for name in chosen}

    def merge(self, params: Params, small: Params) -> Params:
        """Each chosen kernel with ``alpha / rank * down @ up`` added, in the kernel's shape."""

        def add(name: str, leaf: Any) -> Any:
            if name not in small:
                return leaf
            change = jnp.matmul(small[name]["down"], small[name]["up"], precision=jax.lax.Precision.HIGHEST)
            return leaf + (self.alpha / self.rank) * change.reshape(leaf.shape)

        return map_named(add, params)

    def _pair(self, key: Key, kernel: Any) -> Params:
        inputs, outputs = math.prod(kernel.shape[:-1]), kernel.shape[-1]
        bound = math.sqrt(3 / inputs)
        down = jax.random.uniform(key, (inputs, self.rank), minval=-bound, maxval=bound)
        return {"down": down, "up": jnp.zeros((self.rank, outputs))}


@ADAPTERS.register("lora")
def lora(*, rank: int = 4, alpha: float = 4.0, kernels: str = r"query_key_value/kernel$") -> Lora:
    """Adds ``W + alpha / rank * A B`` with A [inputs, rank] and B [rank, outputs] to chosen kernels W.

    A convolution's kernel counts as a matrix of all but its last axis. A is U(+-sqrt(3 / inputs)), B is zero.

    Args:
        rank: of the change.
        alpha: its scale.
        kernels: regular expression that finds the paths of the kernels.
    Raises:
        ArgumentError: the rank is not positive or the expression is none, or it finds no kernel of the encoder.

    Source: Hu et al., LoRA (arXiv 2106.09685), section 4.1.
    """
    check_range("rank", rank, 1)
    try:
        re.compile(kernels)
    except re.error as error:
        raise ArgumentError("kernels", f"is {kernels!r}, which is no regular expression: {error}") from error
    return Lora(rank, alpha, kernels)
