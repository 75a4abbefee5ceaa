"""A first look in three minutes on two CPU cores, with no download: random teachers on scikit-learn's digits.

    make quickstart

A deep, narrow VGG11 without normalisation (a quarter of the width, cut after its fourth pooling) sees the 1438
training digits at 16x16 pixels. The paper's linear probe makes 1960 steps on CIFAR10 and only 60 on so few images,
where it mostly measures the scale of the features; ``linear(batch_size=8)`` makes 1800 and is shown beside it.
"""

from ml_collections import ConfigDict

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import with_options
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.training.checkpoints import CheckpointConfig
from repcon_jax.training.optimisers import OptimiserConfig


def get_config(arguments: str | None = None) -> ConfigDict:
    """The quickstart; it takes no arguments."""
    del arguments
    config = ExperimentConfig(
        title="Quickstart: random teachers on digits",
        data=DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 16}),
        encoder=with_options(ENCODERS, "vgg11", width=0.25, num_stages=4),
        head=with_options(HEADS, "projector", output_size=1024),
        objective=with_options(OBJECTIVES, "distillation", locality=1e-10),
        optimiser=OptimiserConfig(name="adamw", learning_rate=1e-3, weight_decay=0.0),
        probe=ProbeConfig(probes=("linear", "linear(batch_size=8)", "linear_tuned", "knn"), every="200 steps"),
        checkpoint=CheckpointConfig(every="200 steps"),
        num_seeds=3,
        batch_size=128,
        duration="700 steps",
        log_every="20 steps",
    )
    return ConfigDict(plain_config(config))
