"""Running a network some of whose units are gone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flax import linen as nn

from repcon_jax.models import Model


def with_any_widths(model: Model) -> Model:
    """The same network for parameters with any number of units in each layer, as ``remove_dead_units`` gives them.

    Options give a layer's width by a factor on all of them, which cannot name the irregular widths that are left. So
    ``apply`` takes the width of every linear layer and convolution from its kernel; ``init`` draws the whole network.

    Args:
        model: of Linen modules, in which a layer with a ``kernel`` [..., inputs, outputs] counts its outputs by its
            field ``features``, as ``nn.Dense`` and ``nn.Conv`` do.

    >>> import jax, jax.numpy as jnp
    >>> from repcon_jax.models import create_encoder
    >>> encoder, images = create_encoder("mlp", widths=(8, 4)), jnp.zeros((2, 2, 2, 1))
    >>> params, _ = create_encoder("mlp", widths=(5, 3)).init(jax.random.key(0), images)
    >>> with_any_widths(encoder).apply(params, {}, images)[0].shape
    (2, 3)
    """
    parts = tuple((name, with_any_widths(part)) for name, part in model.parts)
    return Model(model.init, _ApplyWithAnyWidths(model.apply), parts=parts, architecture=model.architecture)


# A frozen dataclass rather than a closure, so that equal models stay equal as static arguments of jit.
@dataclass(frozen=True)
class _ApplyWithAnyWidths:
    apply: Callable[..., tuple[Any, ...]]

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        with nn.intercept_methods(_width_of_kernel):
            return self.apply(*args, **kwargs)


def _width_of_kernel(call: Callable[..., Any], args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
    layer = context.module
    if not isinstance(getattr(layer, "features", None), int) or context.method_name != "__call__":
        return call(*args, **kwargs)
    params = layer.variables.get("params", {})
    width = params["kernel"].shape[-1] if "kernel" in params else layer.features
    if width == layer.features:
        return call(*args, **kwargs)
    return layer.clone(parent=None, features=width).apply({"params": params}, *args, **kwargs)
