"""The two registries; a new encoder or head is one file in the folder that is named here."""

from repcon_jax.options.registry import Registry

ENCODERS = Registry("encoder", "repcon_jax.models.encoders")
HEADS = Registry("head", "repcon_jax.models.heads")
