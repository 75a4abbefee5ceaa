"""The two registries; a new encoder or head is one file in the folder that is named here."""

import dataclasses
from typing import Any

from repcon_jax.models.model import Model, Origin
from repcon_jax.options.registry import Registry


class ModelRegistry(Registry):
    """A registry whose models know where they come from."""

    def build(self, name: str, *args: Any, **options: Any) -> Model:
        """The model, with its origin; see ``Registry.build``."""
        model = super().build(name, *args, **options)
        complete = {**self.options(name), **options}
        return dataclasses.replace(model, origin=Origin(self.kind, name, tuple(sorted(complete.items()))))


ENCODERS = ModelRegistry("encoder", "repcon_jax.models.encoders")
HEADS = ModelRegistry("head", "repcon_jax.models.heads")
