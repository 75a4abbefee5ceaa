"""Lottery tickets inside distilled students (arXiv 2302.12091, section 6): iterative magnitude pruning with rewinding.

    python -m repcon_jax --config configs/lottery.py:cifar10,resnet18 --workdir runs/lottery_resnet18

Arguments, at most one of each group, in any order, separated by commas:

    data      cifar10 (default), cifar100, scenes
    encoder   resnet18 (default), vgg11, mlp
    size      paper (default): 160 epochs of SGD a round, 100 of distillation, weights of supervised epochs 1, 2 and 5;
              small: a quarter of the width, 16x16 pixels, 400 steps a round, 800 of distillation, weights of
              supervised steps 50, 100 and 200, for two CPU cores

Each round prunes a fifth of the remaining weights, the smallest in magnitude over all layers, puts the others back to
where they started and trains again: from the random initialisation, from early in supervised training, and from the
student that was distilled from a random teacher, without labels (Fig. 8). Three seeds train as one population. Rounds
are ordinary runs below ``rounds/START/NN``, with the mask in every checkpoint; the same command goes on where it was.
"""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from repcon_jax.config import ExperimentConfig, plain_config, split_arguments, with_options
from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.probing import ProbeConfig
from repcon_jax.tasks.lottery.config import LotteryConfig, plain_lottery
from repcon_jax.training.checkpoints import CheckpointConfig
from repcon_jax.training.optimisers import OptimiserConfig

ARGUMENTS = {
    "data": {
        "cifar10": {"name": "cifar10"},
        "cifar100": {"name": "cifar100"},
        "scenes": {"name": "scenes", "options": SOURCES.options("scenes")},
    },
    "encoder": {name: name for name in ("resnet18", "vgg11", "mlp")},
    "size": {
        "paper": {
            "round": "160 epochs",
            "distillation": "100 epochs",
            "pretraining": "5 epochs",
            "rewind": {"epoch 1": "195", "epoch 2": "390", "epoch 5": "975"},
        },
        "small": {
            "round": "400 steps",
            "distillation": "800 steps",
            "pretraining": "200 steps",
            "rewind": {"step 50": "50", "step 100": "100", "step 200": "200"},
        },
    },
}


def get_config(arguments: str | None = None) -> ConfigDict:
    """The lottery for the arguments listed at the top of this file."""
    chosen = split_arguments(arguments, ARGUMENTS, {"data": "cifar10", "encoder": "resnet18", "size": "paper"})
    size = ARGUMENTS["size"][chosen["size"]]
    rate = 0.1 if chosen["encoder"].startswith("resnet") else 0.02  # without batch normalisation 0.1 diverges
    schedule = f"multi_step(start={rate}, milestones=('50 percent', '75 percent'), factor=0.1)"
    keep = tuple(f"{step} steps" for step in size["rewind"].values())
    pretraining = dataclasses.replace(
        _supervised(chosen, rate, size["pretraining"]), checkpoint=CheckpointConfig(keep=keep)
    )
    config = LotteryConfig(
        title=f"Lottery tickets: {chosen['encoder']} on {chosen['data']}",
        training=plain_config(_supervised(chosen, schedule, size["round"])),
        runs={"distil": plain_config(_distillation(chosen)), "supervised": plain_config(pretraining)},
        starts=(
            ("random initialisation", "random"),
            *((f"supervised, {name}", f"supervised/*/{step}") for name, step in size["rewind"].items()),
            ("distilled student", "distil/*/end"),
        ),
    )
    return ConfigDict(plain_lottery(config))


def _supervised(chosen: dict[str, str], rate: float | str, duration: str) -> ExperimentConfig:
    small = chosen["size"] == "small"
    flips = "" if chosen["data"] == "scenes" else "flip|"
    return ExperimentConfig(
        title="Supervised training",
        data=dataclasses.replace(_data(chosen), global_augment=f"{flips}padded_crop(padding={2 if small else 4})"),
        encoder=_encoder(chosen),
        head=with_options(HEADS, "linear"),
        objective=with_options(OBJECTIVES, "supervised"),
        optimiser=OptimiserConfig(name="sgd", learning_rate=rate, weight_decay=1e-4, momentum=0.9),
        probe=ProbeConfig(probes=(), during="none"),
        checkpoint=CheckpointConfig(every="200 steps" if small else "10 epochs"),
        num_seeds=3,
        batch_size=128 if small else 256,
        duration=duration,
        log_every="20 steps",
    )


def _distillation(chosen: dict[str, str]) -> ExperimentConfig:
    small = chosen["size"] == "small"
    return ExperimentConfig(
        title="Random Teachers are Good Teachers",
        data=_data(chosen),
        encoder=_encoder(chosen),
        head=with_options(HEADS, "projector", **({"output_size": 1024} if small else {})),
        objective=with_options(OBJECTIVES, "distillation", locality=1e-10),
        optimiser=OptimiserConfig(name="adamw", learning_rate=1e-3, weight_decay=0.0),
        probe=ProbeConfig(probes=(), during="none"),
        checkpoint=CheckpointConfig(every="200 steps" if small else "5 epochs"),
        num_seeds=3,
        batch_size=128 if small else 256,
        duration=ARGUMENTS["size"][chosen["size"]]["distillation"],
        log_every="20 steps",
    )


def _data(chosen: dict[str, str]) -> DataConfig:
    values = ARGUMENTS["data"][chosen["data"]]
    if chosen["size"] == "paper":
        return DataConfig(**values)
    if chosen["data"] == "scenes":
        return DataConfig(**{**values, "options": {**values["options"], "image_size": 16}})
    return DataConfig(**values, image_size=16)


def _encoder(chosen: dict[str, str]) -> Any:
    options = ENCODERS.options(chosen["encoder"])
    small = {"width": 0.25, "num_stages": 4} if chosen["size"] == "small" else {}
    return with_options(ENCODERS, chosen["encoder"], **{n: v for n, v in small.items() if n in options})
