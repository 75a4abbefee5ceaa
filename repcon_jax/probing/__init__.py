"""How good is a representation, how does it lie in its space, and how alike are two.

Features of a frozen encoder; probes that read labels from them; scores of their geometry; similarities; fine-tuning.
"""

from repcon_jax.probing.config import ProbeConfig
from repcon_jax.probing.features import EMBEDDING, Pooling, extract_features, layer_names, pixel_features
from repcon_jax.probing.fine_tuning import FineTuned, FineTuning, fine_tune
from repcon_jax.probing.geometry import GEOMETRY_SCORES, GeometryScore
from repcon_jax.probing.probe import PROBES, Probe, accuracy_of_most_frequent_class
from repcon_jax.probing.similarity import SIMILARITIES, Similarity
from repcon_jax.probing.suite import run_probes

__all__ = [
    "EMBEDDING",
    "GEOMETRY_SCORES",
    "PROBES",
    "SIMILARITIES",
    "FineTuned",
    "FineTuning",
    "GeometryScore",
    "Pooling",
    "Probe",
    "ProbeConfig",
    "Similarity",
    "accuracy_of_most_frequent_class",
    "extract_features",
    "fine_tune",
    "layer_names",
    "pixel_features",
    "run_probes",
]
