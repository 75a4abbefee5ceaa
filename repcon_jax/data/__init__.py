"""Images in [0, 1] and labels: sources, subsets, batches on the device and augmentation.

Nothing is normalised here: a network does that for itself, see ``repcon_jax.models.Network``.
"""

from repcon_jax import moved
from repcon_jax.data.augmentations import AUGMENTATIONS
from repcon_jax.data.batches import (
    epoch_indices,
    epoch_permutation,
    gather,
    steps_per_epoch,
    to_float,
)
from repcon_jax.data.config import DataConfig
from repcon_jax.data.dataset import Dataset
from repcon_jax.data.loading import load
from repcon_jax.data.pipeline import parse_pipeline
from repcon_jax.data.pixels import channel_statistics, resize, to_rgb
from repcon_jax.data.sources import SOURCES
from repcon_jax.data.splits import Splits, prepare_splits
from repcon_jax.data.subsets import holdout, label_noise, select_classes, stratified_subset, unlabelled
from repcon_jax.data.views import build_views

__all__ = [
    "AUGMENTATIONS",
    "SOURCES",
    "DataConfig",
    "Dataset",
    "Splits",
    "build_views",
    "channel_statistics",
    "epoch_indices",
    "epoch_permutation",
    "gather",
    "holdout",
    "label_noise",
    "load",
    "parse_pipeline",
    "prepare_splits",
    "resize",
    "select_classes",
    "steps_per_epoch",
    "stratified_subset",
    "to_float",
    "to_rgb",
    "unlabelled",
]

__getattr__ = moved.getattr_of(__name__)
