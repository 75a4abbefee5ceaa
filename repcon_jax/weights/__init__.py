"""Weights in and out: networks of other libraries from files of named tensors, and ours into such files."""

from repcon_jax.weights.convert import assemble, export_tensors, import_network, select_tensors, without_head
from repcon_jax.weights.files import Tensors, read_tensors, write_tensors
from repcon_jax.weights.scheme import SCHEMES, Reading, Scheme, Tensor, find_scheme

__all__ = [
    "SCHEMES",
    "Reading",
    "Scheme",
    "Tensor",
    "Tensors",
    "assemble",
    "export_tensors",
    "find_scheme",
    "import_network",
    "read_tensors",
    "select_tensors",
    "without_head",
    "write_tensors",
]
