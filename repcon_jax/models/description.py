"""A model in plain values and back, so that a checkpoint can say what it belongs to."""

from collections.abc import Callable, Mapping
from typing import Any

from repcon_jax.models.model import Model, attach_head, join_heads
from repcon_jax.models.registries import ENCODERS, HEADS

Builder = Callable[..., Model]


def describe(model: Model) -> dict[str, Any] | None:
    """Kind, name and options of a model and of its parts, as JSON values; None where one of them has no origin.

    >>> from repcon_jax.models import create_encoder
    >>> describe(create_encoder("mlp", widths=(8,)))["options"]["widths"]
    (8,)
    """
    parts = {name: describe(part) for name, part in model.parts}
    if model.origin is None or None in parts.values():
        return None
    origin = model.origin
    return {"kind": origin.kind, "name": origin.name, "options": dict(origin.options), "parts": parts}


def rebuild(description: Mapping[str, Any], further: Mapping[str, Builder] | None = None) -> Model:
    """The model of a description.

    Args:
        description: what ``describe`` gave, or what JSON made of it.
        further: for kinds that rooms above this one make: name, options, parts by name -> model.
    Raises:
        ConfigError: a builder or an option does not exist.

    >>> from repcon_jax.models import create_encoder
    >>> encoder = create_encoder("mlp", widths=(8,))
    >>> rebuild(describe(encoder)) == encoder
    True
    """
    parts = {name: rebuild(part, further) for name, part in description["parts"].items()}
    builders: dict[str, Builder] = {
        "encoder": lambda name, options, parts: ENCODERS.build(name, **options),
        "head": lambda name, options, parts: HEADS.build(name, **options),
        "pair": lambda name, options, parts: attach_head(**parts),
        "heads": lambda name, options, parts: join_heads(parts),
        **(further or {}),
    }
    return builders[description["kind"]](description["name"], _tuples(description["options"]), parts)


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that options are."""
    if isinstance(value, Mapping):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value
