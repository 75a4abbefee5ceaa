"""Lottery tickets inside distilled students (arXiv 2302.12091, section 6): iterative magnitude pruning with rewinding.

    python -m repcon_jax --config configs/lottery.py:cifar10,resnet18 --workdir runs/lottery_resnet18

Arguments, at most one of each group, in any order, separated by commas:

    view      rewinding (default): weights go back to the random initialisation, to early in supervised training, or to
              the student that was distilled from a random teacher, without labels (Fig. 8)
              controls: the same, with random, shuffled and reinitialised tickets, dense networks trained as long, and
              how alike the tickets of different seeds are
              connectivity: the same, with the barrier between two trainings of a ticket, after each kind of start
              transfer: the same, with the tickets trained on CIFAR100
              studies: the same, with all of these at three densities
              initialisation: masks made before training, of the random initialisation and of the distilled student
              fine_tuning: weights rewound, the learning rate alone rewound, or neither
              structured: filters, two of four and single weights, with size and time of what is left
    data      cifar10 (default), cifar100, scenes
    encoder   resnet18 (default), vgg11, mlp
    size      paper (default): 160 epochs of SGD a round, 100 of distillation, weights of supervised epochs 1, 2 and 5;
              small: a quarter of the width, 16x16 pixels, 400 steps a round, 800 of distillation, weights of
              supervised steps 50, 100 and 200, for two CPU cores

Each round prunes a fifth of the remaining weights, the smallest in magnitude over all layers, puts the others back to
where they started and trains again. Three seeds train as one population. Rounds are ordinary runs below
``rounds/CHAIN/NN``, with the mask in every checkpoint; the same command goes on where it was. The views from controls
to studies share their rounds: in one work directory each trains only what is new.
"""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import split_arguments, with_options
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.tasks.lottery.config import Chain, LotteryConfig, plain_lottery
from repcon_jax.training.checkpoints import CheckpointConfig
from repcon_jax.training.optimisers import OptimiserConfig

CONTROLS = ("random_mask", "shuffled(within='filter')", "reinitialised", "dense_as_long", "agreement")
STUDIES = {
    "rewinding": (),
    "controls": CONTROLS,
    "connectivity": ("instability",),
    "transfer": ("transfer(data='cifar100')",),
    "studies": (*CONTROLS, "instability", "transfer(data='cifar100')"),
}
DISTILLED = "distil/*/end"
ARGUMENTS = {
    "view": {name: name for name in (*STUDIES, "initialisation", "fine_tuning", "structured")},
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
            "rounds": 24,
        },
        "small": {
            "round": "400 steps",
            "distillation": "800 steps",
            "pretraining": "200 steps",
            "rewind": {"step 50": "50", "step 100": "100", "step 200": "200"},
            "rounds": 12,
        },
    },
}


def get_config(arguments: str | None = None) -> ConfigDict:
    """The lottery for the arguments listed at the top of this file."""
    defaults = {"view": "rewinding", "data": "cifar10", "encoder": "resnet18", "size": "paper"}
    chosen = split_arguments(arguments, ARGUMENTS, defaults)
    size, view = ARGUMENTS["size"][chosen["size"]], chosen["view"]
    rate = 0.1 if chosen["encoder"].startswith("resnet") else 0.02  # without batch normalisation 0.1 diverges
    schedule = f"multi_step(start={rate}, milestones=('50 percent', '75 percent'), factor=0.1)"
    runs = {"distil": plain_config(_distillation(chosen))}
    if view in STUDIES:
        keep = tuple(f"{step} steps" for step in size["rewind"].values())
        pretraining = _supervised(chosen, rate, size["pretraining"])
        runs["supervised"] = plain_config(dataclasses.replace(pretraining, checkpoint=CheckpointConfig(keep=keep)))
    config = LotteryConfig(
        title=f"Lottery tickets, {view.replace('_', ' ')}: {chosen['encoder']} on {chosen['data']}",
        training=plain_config(_supervised(chosen, schedule, size["round"])),
        runs=runs,
        **_view(view, size),
    )
    plain = plain_lottery(config)
    values = ConfigDict(plain)
    values.chains = ConfigDict(plain["chains"], sort_keys=False)  # figures and tables follow their order
    return values


def _view(view: str, size: dict[str, Any]) -> dict[str, Any]:
    """The fields of the lottery that make a view."""
    starts = {"random": ("random", "random initialisation"), "distilled": (DISTILLED, "distilled student")}
    rounds = {"schedule": f"geometric(fraction=0.2, rounds={size['rounds']})"}
    if view == "initialisation":
        chains = {
            f"{criterion}_{name}": Chain(
                start,
                label=f"{criterion}, {label}",
                criterion=criterion,
                pruned="before_training",
                iterations=100 if criterion == "synflow" else 1,
            )
            for criterion in ("magnitude", "snip", "grasp", "synflow", "random")
            for name, (start, label) in starts.items()
        }
        return {"chains": chains, "schedule": "densities(values=(0.5, 0.2, 0.05))"}
    if view == "fine_tuning":
        kinds = {"weights": "weights rewound", "learning_rate": "learning rate rewound", "none": "fine-tuned"}
        chains = {
            f"{kind}_{name}": Chain(start, label=f"{told}, {label}", rewinding=kind)
            for kind, told in kinds.items()
            for name, (start, label) in starts.items()
        }
        return {"chains": chains, **rounds}
    if view == "structured":
        kinds = {"filters": "filters", "two_of_four": "n_of_m(m=4)", "weights": "unstructured"}
        chains = {
            kind: Chain(DISTILLED, label=kind.replace("_", " "), structure=structure)
            for kind, structure in kinds.items()
        }
        schedule = "densities(values=(0.75, 0.5, 0.25))"
        return {"chains": chains, "schedule": schedule, "prunable": "kernels_but_output", "studies": ("removal",)}
    chains = {
        "random": Chain(*starts["random"]),
        **{
            name.replace(" ", "_"): Chain(f"supervised/*/{step}", label=f"supervised, {name}")
            for name, step in size["rewind"].items()
        },
        "distilled": Chain(*starts["distilled"]),
    }
    third = size["rounds"] // 3
    studied = {"studied_rounds": (third, 2 * third, 3 * third)} if view != "rewinding" else {}
    return {"chains": chains, "studies": STUDIES[view], **studied, **rounds}


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
