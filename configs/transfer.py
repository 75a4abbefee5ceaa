"""The transfer battery: what representations are worth on many data sets, by tuned and seeded probes.

    python -m repcon_jax --config configs/transfer.py --workdir runs/transfer
    python -m repcon_jax --config configs/transfer.py:given --workdir runs/mine \\
        --config.networks="('pixels','random/*/start','runs/a/checkpoints/*/end','runs/b/checkpoints/seed_0/19500')"

Every network is frozen, and probes read its features on every target: a converged linear layer whose penalty is chosen
on held-out training examples, the paper's ten epochs of AdamW on the features as they are, and the nearest
neighbour; with 1, 2, 5, 10 and 20 training examples of each class, drawn five times, and with all of them. The report
has tables, heat maps of targets by networks, few-shot curves, differences to the random network with paired intervals,
and how alike the representations are. Features and values are kept: a second command in the same work directory, with
other networks, targets or measurements, computes only what is new.

Arguments, at most one of each group, in any order, separated by commas:

    networks  trained (default): raw pixels, a random network, students that were distilled from it on CIFAR10 and
              on CIFAR100 as in Random Teachers are Good Teachers (arXiv 2302.12091), and supervised networks, three
              seeds each; given: those that --config.networks names, without it raw pixels and random networks
    targets   prepared (default): ten data sets of 16x16 to 32x32 pixels: CIFAR10, CIFAR100's superclasses, flowers;
              MNIST, USPS, letters from photographs; traffic signs, aerial scenes, clothes, brain scans
              tfds: ten that TFDS downloads
              few: scikit-learn's digits, generated scenes, CIFAR10 and Fashion-MNIST
    view      battery (default); layers: every layer instead of the embedding alone, with 20 and all examples
    encoder   vgg11 (default), resnet18, mlp
    size      small (default): a quarter of the width, trained for 1000 steps on 16x16 pixels, to which these networks
              scale every target's images, with at most 10000 training and 2000 test examples of each target, for two
              CPU cores; paper: the full width and size, 100 epochs, all examples

The claims stand below and were written before any run. The linear layer sees standardised features, AdamW sees them as
they are: where a student is ahead of its random teacher with AdamW and not with the former, its features are only
better scaled.
"""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import split_arguments, with_options
from repcon_jax.options.schema import Choice
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.tasks.study.config import StudyConfig, plain_study
from repcon_jax.training.optimisers import OptimiserConfig

# By their kind, over which means are taken.
PREPARED = {
    "natural": {
        "cifar10": DataConfig("cifar10"),
        "superclasses": DataConfig("cifar100", options={"label": "coarse_label"}),
        "flowers": DataConfig("flowers32"),
    },
    "characters": {
        "mnist": DataConfig("mnist"),
        "usps": DataConfig("usps"),
        "letters": DataConfig("streetletters32"),
    },
    "other": {
        "signs": DataConfig("gtsrb32"),
        "aerial": DataConfig("aid32"),
        "clothes": DataConfig("fashion_mnist"),
        "brains": DataConfig("brainmri32"),
    },
}
RESIZED = {"image_size": 32}
TFDS = {
    "natural": {
        "cifar10": DataConfig("cifar10"),
        "superclasses": DataConfig("cifar100", options={"label": "coarse_label"}),
        "flowers": DataConfig("oxford_flowers102", options=RESIZED),
        "pets": DataConfig("oxford_iiit_pet", options=RESIZED),
        "textures": DataConfig("dtd", options=RESIZED),
    },
    "characters": {
        "mnist": DataConfig("mnist"),
        "street_numbers": DataConfig("svhn_cropped"),
        "letters": DataConfig("emnist/letters"),
    },
    "other": {"clothes": DataConfig("fashion_mnist"), "weeds": DataConfig("deep_weeds", options=RESIZED)},
}
FEW = {
    "photographs": {"cifar10": DataConfig("cifar10"), "clothes": DataConfig("fashion_mnist")},
    "drawn": {
        name: DataConfig(name, options=SOURCES.options(name) | {"image_size": 32}) for name in ("digits", "scenes")
    },
}
ARGUMENTS = {
    "networks": {name: name for name in ("trained", "given")},
    "targets": {"prepared": PREPARED, "tfds": TFDS, "few": FEW},
    "view": {name: name for name in ("battery", "layers")},
    "encoder": {name: name for name in ("vgg11", "resnet18", "mlp")},
    "size": {
        "small": {
            "image_size": 16,
            "duration": "1000 steps",
            "batch_size": 128,
            "examples": 10_000,
            "test_examples": 2000,
        },
        "paper": {
            "image_size": None,
            "duration": "100 epochs",
            "batch_size": 256,
            "examples": None,
            "test_examples": None,
        },
    },
}
# Of which the small size takes a part, in proportion of the classes.
LARGE = ("cifar10", "cifar100", "fashion_mnist", "svhn_cropped", "emnist/letters", "deep_weeds")
LAYERS = {
    "vgg11": tuple(f"conv{number}" for number in range(1, 9)),
    "resnet18": tuple(f"block{number}" for number in range(1, 9)),
    "mlp": ("layer1", "layer2"),
}
SOURCE_SETS = ("cifar10", "cifar100")
SHOTS = {"battery": (1, 2, 5, 10, 20, None), "layers": (20, None)}
PROBES = {
    "linear": "probe(probe='linear_tuned')",
    "adamw": "probe(probe='linear')",
    "neighbour": "probe(probe='knn(neighbours=1)')",
}


def get_config(arguments: str | None = None) -> ConfigDict:
    """The battery for the arguments listed at the top of this file."""
    defaults = {
        "networks": "trained",
        "targets": "prepared",
        "view": "battery",
        "encoder": "vgg11",
        "size": "small",
    }
    chosen = split_arguments(arguments, ARGUMENTS, defaults)
    groups, is_trained = ARGUMENTS["targets"][chosen["targets"]], chosen["networks"] == "trained"
    measurements = (
        {**PROBES, "similarity": "similarity"} if chosen["view"] == "battery" else {"linear": PROBES["linear"]}
    )
    config = StudyConfig(
        title=f"Transfer {chosen['view']}: {chosen['encoder']}" if is_trained else "Transfer battery",
        targets={name: _target(chosen, data) for group in groups.values() for name, data in group.items()},
        groups={"all": tuple(name for group in groups.values() for name in group)}
        | {kind: tuple(group) for kind, group in groups.items()},
        measurements=measurements,
        shots=SHOTS[chosen["view"]],
        draws=5,
        layers=("embedding",) if chosen["view"] == "battery" else (*LAYERS[chosen["encoder"]], "embedding"),
        test_examples=ARGUMENTS["size"][chosen["size"]]["test_examples"],
        **(_trained(chosen, tuple(measurements)) if is_trained else _given(chosen, next(iter(groups.values())))),
    )
    values, plain = ConfigDict(plain_study(config), sort_keys=False), plain_study(config)
    for field in ("networks", "measurements", "targets", "groups"):
        setattr(values, field, ConfigDict(plain[field], sort_keys=False))  # figures and tables follow their order
    return values


def _target(chosen: dict[str, str], data: DataConfig) -> DataConfig:
    examples = ARGUMENTS["size"][chosen["size"]]["examples"]
    return dataclasses.replace(data, subset=examples) if data.name in LARGE else data


def _trained(chosen: dict[str, str], measurements: tuple[str, ...]) -> dict[str, Any]:
    """The fields of the study that are about the networks which it trains."""
    runs, networks = {}, {"pixels": "pixels", "random": f"student_{SOURCE_SETS[0]}/*/end:teacher"}
    for data in SOURCE_SETS:
        runs[f"student_{data}"] = _run(chosen, data, "Student of a random teacher", _distillation(), "projector")
        runs[f"supervised_{data}"] = _run(chosen, data, "Supervised", with_options(OBJECTIVES, "supervised"), "linear")
    networks |= {name: f"{name}/*/end" for name in sorted(runs)}
    claims = [
        f"{probe}: {claim}"
        for probe in ("linear", "adamw", "neighbour")
        if probe in measurements
        for claim in (
            *(f"student_{data} - random > 0" for data in SOURCE_SETS),
            *(f"supervised_{data} - student_{data} > 0" for data in SOURCE_SETS),
            "random - pixels > 0",
        )
    ]
    plain = {name: plain_config(run) for name, run in runs.items()}
    return {"runs": plain, "networks": networks, "baseline": "random", "claims": tuple(claims)}


def _given(chosen: dict[str, str], targets: dict[str, DataConfig]) -> dict[str, Any]:
    """The fields of the study about networks that others trained, beside which pixels and random ones stand."""
    data = next(iter(targets.values()))
    run = _run(chosen, data.name, "Random network", _distillation(), "projector")
    start = dataclasses.replace(run, duration="1 steps", evaluate=False, figures=False)
    return {"runs": {"random": plain_config(start)}, "networks": {"pixels": "pixels", "random": "random/*/start"}}


def _run(chosen: dict[str, str], data: str, title: str, objective: Choice, head: str) -> ExperimentConfig:
    is_small, size = chosen["size"] == "small", ARGUMENTS["size"][chosen["size"]]
    flips = "" if objective.name == "distillation" else f"flip|padded_crop(padding={2 if is_small else 4})"
    return ExperimentConfig(
        title=f"{title}, {data}",
        data=DataConfig(data, image_size=size["image_size"], global_augment=flips),
        encoder=_encoder(chosen),
        head=with_options(HEADS, head, **({"output_size": 1024} if is_small and head == "projector" else {})),
        objective=objective,
        optimiser=OptimiserConfig(name="adamw", learning_rate=1e-3, weight_decay=0.0),
        probe=ProbeConfig(probes=(), during="none"),
        num_seeds=3,
        batch_size=size["batch_size"],
        duration=size["duration"],
        log_every="20 steps",
    )


def _distillation() -> Choice:
    return with_options(OBJECTIVES, "distillation", locality=1e-10)


def _encoder(chosen: dict[str, str]) -> Choice:
    options = ENCODERS.options(chosen["encoder"])
    small = {"width": 0.25, "num_stages": 4, "widths": (256, 128)} if chosen["size"] == "small" else {}
    return with_options(ENCODERS, chosen["encoder"], **{n: v for n, v in small.items() if n in options})
