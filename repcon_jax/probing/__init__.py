"""How good is a representation: features of a frozen encoder, and probes that read labels from them."""

from repcon_jax.probing.config import ProbeConfig
from repcon_jax.probing.features import EMBEDDING, Pooling, extract_features, layer_names, pixel_features
from repcon_jax.probing.probe import PROBES, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.suite import run_probes

__all__ = [
    "EMBEDDING",
    "PROBES",
    "Pooling",
    "Probe",
    "ProbeConfig",
    "accuracy_of_most_frequent_class",
    "extract_features",
    "layer_names",
    "pixel_features",
    "run_probes",
]
