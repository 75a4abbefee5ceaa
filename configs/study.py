"""A study of three kinds of runs: what their networks are worth, how alike they are, and what lies between them.

    python -m repcon_jax --config configs/study.py:digits --workdir runs/study

Three runs are trained, each with three seeds: students that are distilled from a random teacher, near it (locality
1e-10) and far from it (locality 1), as in Random Teachers are Good Teachers (arXiv 2302.12091), and a supervised
network. Then the teacher, both students, the supervised network and the average of teacher and near student are
measured: a converged linear probe with 5, 20 and 80 training examples of each class, the H-score, linear CKA and
distances of all pairs, and the barrier between them where they are of one architecture.

Arguments, at most one of each group, in any order, separated by commas:

    data      digits (default), scenes, cifar10, fashion_mnist, usps
    encoder   vgg11 (default), resnet18, mlp
    size      small (default): a quarter of the width, 16x16 pixels, 300 steps, for two CPU cores (some minutes);
              paper: the full width, 32x32 pixels, 100 epochs

The claims stand below and were written before any run: the paper's, that students are better than their teacher, and
that labels help. The report gives each a verdict for each number of examples.
"""

from typing import Any

from ml_collections import ConfigDict

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import split_arguments, with_options
from repcon_jax.options.schema import Choice
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.tasks.study.config import MergeConfig, StudyConfig, plain_study
from repcon_jax.training.optimisers import OptimiserConfig

ARGUMENTS = {
    "data": {name: name for name in ("digits", "scenes", "cifar10", "fashion_mnist", "usps")},
    "encoder": {name: name for name in ("vgg11", "resnet18", "mlp")},
    "size": {
        "small": {"image_size": 16, "duration": "300 steps", "batch_size": 128, "test_examples": 2000},
        "paper": {"image_size": 32, "duration": "100 epochs", "batch_size": 256, "test_examples": None},
    },
}


def get_config(arguments: str | None = None) -> ConfigDict:
    """The study for the arguments listed at the top of this file."""
    chosen = split_arguments(arguments, ARGUMENTS, {"data": "digits", "encoder": "vgg11", "size": "small"})
    size, data = ARGUMENTS["size"][chosen["size"]], _data(chosen)
    config = StudyConfig(
        title=f"Random teachers, their students and a supervised network: {chosen['encoder']} on {chosen['data']}",
        runs={
            "near": plain_config(_run(chosen, "Near student", _distillation(1e-10), "projector")),
            "far": plain_config(_run(chosen, "Far student", _distillation(1.0), "projector")),
            "supervised": plain_config(_run(chosen, "Supervised", with_options(OBJECTIVES, "supervised"), "linear")),
        },
        networks={
            "teacher": "near/*/end:teacher",
            "near": "near/*/end",
            "far": "far/*/end",
            "supervised": "supervised/*/end",
        },
        merges={"average": MergeConfig(("teacher", "near"))},
        targets={chosen["data"]: data},
        measurements={
            "probe": "probe(probe='linear_tuned')",
            "h_score": "transfer(score='h_score')",
            "similarity": "similarity",
            "distance": "distance",
            "barrier": "barrier",
        },
        shots=(5, 20, 80),
        draws=3,
        baseline="teacher",
        claims=(
            "probe: near - teacher > 0",
            "probe: far - teacher > 0",
            "probe: supervised - near > 0",
        ),
        compared=(("h_score", "probe"),),
        test_examples=size["test_examples"],
    )
    values, plain = ConfigDict(plain_study(config), sort_keys=False), plain_study(config)
    for field in ("networks", "merges", "measurements", "targets"):
        setattr(values, field, ConfigDict(plain[field], sort_keys=False))  # figures and tables follow their order
    return values


def _run(chosen: dict[str, str], title: str, objective: Choice, head: str) -> ExperimentConfig:
    size = ARGUMENTS["size"][chosen["size"]]
    small = {"output_size": 1024} if chosen["size"] == "small" and head == "projector" else {}
    return ExperimentConfig(
        title=title,
        data=_data(chosen),
        encoder=_encoder(chosen),
        head=with_options(HEADS, head, **small),
        objective=objective,
        optimiser=OptimiserConfig(name="adamw", learning_rate=1e-3, weight_decay=0.0),
        probe=ProbeConfig(probes=(), during="none"),
        num_seeds=3,
        batch_size=size["batch_size"],
        duration=size["duration"],
        log_every="20 steps",
    )


def _distillation(locality: float) -> Choice:
    return with_options(OBJECTIVES, "distillation", locality=locality)


def _data(chosen: dict[str, str]) -> DataConfig:
    side = ARGUMENTS["size"][chosen["size"]]["image_size"]
    if chosen["data"] in SOURCES.names():  # drawn at that size
        return DataConfig(chosen["data"], options=SOURCES.options(chosen["data"]) | {"image_size": side})
    return DataConfig(chosen["data"], image_size=side)


def _encoder(chosen: dict[str, str]) -> Any:
    options = ENCODERS.options(chosen["encoder"])
    small = {"width": 0.25, "num_stages": 4} if chosen["size"] == "small" else {}
    return with_options(ENCODERS, chosen["encoder"], **{n: v for n, v in small.items() if n in options})
