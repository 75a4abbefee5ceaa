"""Landscapes of random teachers and their students (arXiv 2302.12091, sections 5 and 6): trained, measured, drawn.

    python -m repcon_jax --config configs/landscape.py:cifar10,vgg11,shared --workdir runs/landscape_vgg11

Arguments, at most one of each group, in any order, separated by commas:

    data      cifar10 (default), cifar100, digits, scenes
    encoder   vgg11 (default), resnet18, mlp
    view      what is measured:
              shared (default), the plane through the teacher and the trained students of locality 0 and 1 (Fig. 5
              right, Fig. 15), with a closer view of the teacher (Fig. 14, 16);
              nonlocal, the plane through the teacher and the student of locality 1 before and after training (Fig. 5
              left); connectivity, error along the straight lines between supervised runs that share their start and
              differ in data order, for random starts and distilled students (Fig. 9);
              curvature, Hessian eigenvalues, traces, sharpness and slopes at the teacher and both students;
              random_directions, trajectory and hessian, planes through the local student along such directions;
              curve, a trained curve of low loss between two supervised runs from one random start
    basis     of a plane: raw (default), in units of the differences of its networks; orthonormal, in distances
              (Fig. 13); rms, in root-mean-square change per parameter
    size      paper (default): 100 epochs of distillation, 160 of supervised training, 3 initialisations, 5 data
              orders; small: a quarter of the width, 16x16 pixels, 2400 and 1200 steps, for two CPU cores

Locality 0 is 1e-10, as in the paper's code, since at 0 exactly the gradient vanishes. The linear probe has the
landscapes' batch of 512 in the authors' code; at the small size, with fewer examples, one of 64. Everything is written
below the work directory: the runs in ``runs/``, each point as it is measured in ``values/``. The same command again
goes on; other points (``--config.analysis.resolution``, ``.extent``, ``.crops``, ``.zooms``) reuse those measured.
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
from repcon_jax.tasks.landscape.analyses import ANALYSES
from repcon_jax.tasks.landscape.config import LandscapeConfig, plain_landscape
from repcon_jax.training.checkpoints import CheckpointConfig
from repcon_jax.training.optimisers import OptimiserConfig

NEAR, FAR = "locality_1e-10__seed_0", "locality_1.0__seed_0"
TEACHER, LOCAL, DISTANT = f"distil/{NEAR}/start:teacher", f"distil/{NEAR}/end", f"distil/{FAR}/end"
SHARED = (("teacher", TEACHER), ("student(0), trained", LOCAL), ("student(1), trained", DISTANT))

ARGUMENTS = {
    "data": {
        "cifar10": {"name": "cifar10"},
        "cifar100": {"name": "cifar100"},
        "digits": {"name": "digits", "options": SOURCES.options("digits") | {"image_size": 32}},
        "scenes": {"name": "scenes", "options": SOURCES.options("scenes")},
    },
    "encoder": {name: name for name in ("vgg11", "resnet18", "mlp")},
    "view": {
        "shared": SHARED,
        "nonlocal": (SHARED[0], ("student(1), start", f"distil/{FAR}/start"), SHARED[2]),
        "connectivity": (),
        "curvature": SHARED,
        "random_directions": (),
        "trajectory": (),
        "hessian": (),
        "curve": (),
    },
    "basis": {
        "raw": {"basis": "raw", "origin": "first"},
        "orthonormal": {"basis": "orthonormal", "origin": "minimum_norm"},
        "rms": {"basis": "orthonormal_rms", "origin": "minimum_norm"},
    },
    "size": {
        "paper": {
            "initialisations": 3,
            "orders": 5,
            "distillation": "100 epochs",
            "supervised": "160 epochs",
            "resolution": (41, 41),
            "train_examples": 10000,
            "test_examples": None,
            "linear": "linear(batch_size=512)",
        },
        "small": {
            "initialisations": 2,
            "orders": 3,
            "distillation": "2400 steps",
            "supervised": "1200 steps",
            "resolution": (21, 21),
            "train_examples": 4000,
            "test_examples": 2000,
            "linear": "linear(batch_size=64)",
        },
    },
}
_DEFAULTS = {"data": "cifar10", "encoder": "vgg11", "view": "shared", "basis": "raw", "size": "paper"}


def get_config(arguments: str | None = None) -> ConfigDict:
    """The landscape for the arguments listed at the top of this file."""
    chosen = split_arguments(arguments, ARGUMENTS, _DEFAULTS)
    size, view = ARGUMENTS["size"][chosen["size"]], chosen["view"]
    grid = {"resolution": size["resolution"]}
    basis, points = ARGUMENTS["basis"][chosen["basis"]], ARGUMENTS["view"][view]
    config = LandscapeConfig(
        title=f"Random teachers, {view.replace('_', ' ')} view: {chosen['encoder']} on {chosen['data']}",
        runs=_runs(chosen),
        analysis={
            "shared": lambda: with_options(ANALYSES, "plane", points=points, zooms=(0.2,), **basis, **grid),
            "nonlocal": lambda: with_options(ANALYSES, "plane", points=points, **basis, **grid),
            "connectivity": lambda: with_options(ANALYSES, "paths", groups=_groups(size["initialisations"])),
            "curvature": lambda: with_options(ANALYSES, "curvature", points=points, lines=_lines(points)),
            "random_directions": lambda: with_options(ANALYSES, "directions", centre=LOCAL, **grid),
            "trajectory": lambda: with_options(
                ANALYSES, "directions", centre=LOCAL, along="trajectory", trajectory=_trajectory(chosen), **grid
            ),
            "hessian": lambda: with_options(ANALYSES, "directions", centre=LOCAL, along="hessian", **grid),
            "curve": lambda: with_options(
                ANALYSES, "route", through=("random_0/seed_0/end", "random_0/seed_1/end"), bends="curve/seed_0/end"
            ),
        }[view](),
        reference=None if view in ("connectivity", "curve") else TEACHER,
        metrics=_metrics(view, size["linear"]),
        measured_on=("train", "test") if view in ("connectivity", "curve") else ("train",),
        train_examples=size["train_examples"],
        test_examples=size["test_examples"],
    )
    return ConfigDict(plain_landscape(config))


def _metrics(view: str, linear: str) -> tuple[str, ...]:
    if view in ("connectivity", "curve"):
        return ("error", "supervised_loss")
    norms = ("norm(part='encoder')", "norm(part='head')")
    return ("kl_divergence", "embedding_kl_divergence", linear, "knn", *norms)


def _groups(initialisations: int) -> dict[str, tuple[str, ...]]:
    """Runs from one start form pairs; starts of one kind form a group."""
    starts = {"random start": "random", "distilled start": "distilled"}
    return {name: tuple(f"{run}_{i}/*/end" for i in range(initialisations)) for name, run in starts.items()}


def _lines(points: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    (teacher, _), *students = points
    return tuple((teacher, student) for student, _ in students)


def _trajectory(chosen: dict[str, str]) -> tuple[str, ...]:
    """The start and what ``checkpoint.keep`` keeps on the way."""
    steps = ("start", "200", "600", "1200") if chosen["size"] == "small" else ("start", "195", "975", "1950", "9750")
    return tuple(f"distil/{NEAR}/{step}" for step in steps)


def _runs(chosen: dict[str, str]) -> dict[str, Any]:
    """What is trained first, in this order."""
    size, view = ARGUMENTS["size"][chosen["size"]], chosen["view"]
    if view not in ("connectivity", "curve"):
        localities = {"locality": (1e-10, 1.0), "seed": (0,)}
        return {"distil": plain_config(_distillation(chosen, population=localities))}
    count = size["initialisations"] if view == "connectivity" else 1
    runs = {"distil": plain_config(_distillation(chosen, num_seeds=count))}
    kinds = {"random": "start", "distilled": "end"} if view == "connectivity" else {"random": "start"}
    for i in range(count):
        for kind, step in kinds.items():
            runs[f"{kind}_{i}"] = plain_config(_supervised(chosen, f"{{runs}}/distil/seed_{i}/{step}"))
    if view == "curve":
        ends = {f"{end}_checkpoint": f"{{runs}}/random_0/seed_{i}/end" for i, end in enumerate(("start", "end"))}
        run = _supervised(chosen, None)
        objective = with_options(OBJECTIVES, "curve", **ends)
        runs["curve"] = plain_config(dataclasses.replace(run, title="Curve", objective=objective, num_seeds=1))
    return runs


def _distillation(chosen: dict[str, str], **members: Any) -> ExperimentConfig:
    small = chosen["size"] == "small"
    keep = ("200 steps", "600 steps", "1200 steps") if small else ("1 epochs", "5 epochs", "10 epochs", "50 epochs")
    return ExperimentConfig(
        title="Random Teachers are Good Teachers",
        data=_data(chosen),
        encoder=_encoder(chosen),
        head=with_options(HEADS, "projector", **({"output_size": 1024} if small else {})),
        objective=with_options(OBJECTIVES, "distillation", locality=1e-10),
        optimiser=OptimiserConfig(name="adamw", learning_rate=1e-3, weight_decay=0.0),
        probe=ProbeConfig(during="none", train_size=10000 if small else None),
        checkpoint=CheckpointConfig(every="200 steps" if small else "5 epochs", keep=keep),
        batch_size=128 if small else 256,
        duration=ARGUMENTS["size"][chosen["size"]]["distillation"],
        log_every="20 steps",
        **members,
    )


def _supervised(chosen: dict[str, str], checkpoint: str | None) -> ExperimentConfig:
    """The paper's recipe of section 6, from one start in different data orders."""
    small, size = chosen["size"] == "small", ARGUMENTS["size"][chosen["size"]]
    flips = "" if chosen["data"] in ("digits", "scenes") else "flip|"
    start = {"start": "checkpoint" if checkpoint else "random", "checkpoint": checkpoint}
    # Without batch normalisation the recipe's learning rate diverges.
    rate = 0.1 if chosen["encoder"].startswith("resnet") else 0.02
    schedule = f"multi_step(start={rate}, milestones=('50 percent', '75 percent'), factor=0.1)"
    return ExperimentConfig(
        title="Supervised training from a shared start",
        data=dataclasses.replace(_data(chosen), global_augment=f"{flips}padded_crop(padding={2 if small else 4})"),
        encoder=_encoder(chosen),
        head=with_options(HEADS, "linear"),
        objective=with_options(OBJECTIVES, "supervised", **start, start_seed=0),
        optimiser=OptimiserConfig(name="sgd", learning_rate=schedule, weight_decay=1e-4, momentum=0.9),
        probe=ProbeConfig(probes=(), during="none"),
        checkpoint=CheckpointConfig(every="200 steps" if small else "10 epochs"),
        num_seeds=size["orders"],
        batch_size=128 if small else 256,
        duration=size["supervised"],
        log_every="20 steps",
    )


def _data(chosen: dict[str, str]) -> DataConfig:
    values = ARGUMENTS["data"][chosen["data"]]
    if chosen["size"] == "paper":
        return DataConfig(**values)
    if chosen["data"] in ("digits", "scenes"):
        return DataConfig(**{**values, "options": {**values["options"], "image_size": 16}})
    return DataConfig(**values, image_size=16)


def _encoder(chosen: dict[str, str]) -> Any:
    options = ENCODERS.options(chosen["encoder"])
    small = {"width": 0.25, "num_stages": 4} if chosen["size"] == "small" else {}
    return with_options(ENCODERS, chosen["encoder"], **{n: v for n, v in small.items() if n in options})
