"""Sources that need no download: one file each, found by the registry.

A source is a function of the split whose keyword-only arguments are its options; it returns a Dataset.
"""

from repcon_jax.options.registry import Registry

SOURCES = Registry("data.options", "repcon_jax.data.sources")
