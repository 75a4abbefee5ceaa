"""Tiny lotteries, whose runs draw no figures."""

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import with_options
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.tasks.lottery.config import Chain, LotteryConfig
from repcon_jax.training.checkpoints import CheckpointConfig
from repcon_jax.training.optimisers import OptimiserConfig

TRAINING = ExperimentConfig(
    title="tiny",
    data=DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 8}, subset=60),
    encoder=with_options(ENCODERS, "mlp", widths=(10,), normalisation="batch"),
    head=with_options(HEADS, "linear"),
    objective=with_options(OBJECTIVES, "supervised"),
    optimiser=OptimiserConfig(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=1e-2),
    probe=ProbeConfig(probes=(), during="none"),
    batch_size=20,
    duration="50 steps",
    num_seeds=2,
    log_every="10 steps",
    checkpoint=CheckpointConfig(every="25 steps"),
    figures=False,
)
PRETRAINING = ExperimentConfig(
    **{**vars(TRAINING), "duration": "4 steps", "checkpoint": CheckpointConfig(keep=("2 steps",))}
)
DISTILLATION = ExperimentConfig(
    **{
        **vars(PRETRAINING),
        "objective": with_options(OBJECTIVES, "distillation", start="independent"),
        "head": with_options(HEADS, "projector", hidden_sizes=(), bottleneck_size=4, output_size=8),
    }
)
CHAINS = {"random": Chain(), "early": Chain("early/*/2"), "student": Chain("distil/*/end")}
RANDOM = {"random": Chain()}


def config_of(**changes):
    """A lottery of three chains with some fields replaced."""
    runs = {"early": plain_config(PRETRAINING), "distil": plain_config(DISTILLATION)}
    values = {"training": plain_config(TRAINING), "chains": CHAINS, "runs": runs}
    return LotteryConfig("tiny", **{**values, "schedule": "geometric(fraction=0.5, rounds=2)", **changes})
