"""Tiny studies, which draw no figures."""

import dataclasses

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import with_options
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.tasks.study.config import MergeConfig, StudyConfig
from repcon_jax.training.optimisers import OptimiserConfig


def digits(**changes):
    return DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 8}, **changes)


def scenes(**changes):
    options = SOURCES.options("scenes") | {"image_size": 8, "num_examples": 100, "num_test": 40}
    return DataConfig("scenes", options=options, **changes)


SUPERVISED = ExperimentConfig(
    title="tiny",
    data=digits(subset=120),
    encoder=with_options(ENCODERS, "mlp", widths=(16,), normalisation="batch"),
    head=with_options(HEADS, "linear"),
    objective=with_options(OBJECTIVES, "supervised"),
    optimiser=OptimiserConfig(learning_rate=1e-2),
    probe=ProbeConfig(probes=(), during="none"),
    num_seeds=2,
    batch_size=20,
    duration="3 steps",
)
WIDER = dataclasses.replace(SUPERVISED, encoder=with_options(ENCODERS, "mlp", widths=(8, 6)))
RUNS = {
    "short": plain_config(SUPERVISED),
    "long": plain_config(dataclasses.replace(SUPERVISED, duration="9 steps")),
    "wider": plain_config(WIDER),
}
STUDY = StudyConfig(
    title="tiny",
    runs=RUNS,
    networks={
        "short": "short/*/end",
        "long": "long/*/end",
        "wider": "wider/*/end",
        "one": "short/seed_1/start",
    },
    merges={"soup": MergeConfig(("short", "long"))},
    targets={"digits": digits(subset=150)},
    measurements={
        "probe": "probe(probe='knn(neighbours=3)')",
        "h_score": "transfer",
        "similarity": "similarity",
        "distance": "distance",
        "barrier": "barrier(num_points=3, batch_norm='first')",
    },
    shots=(2, 5),
    draws=2,
    baseline="one",
    claims=("probe: long - short > 0", "h_score/score: long - one < -1e3"),
    compared=(("h_score", "probe"),),
    test_examples=60,
    recalibration_examples=40,
    batch_size=20,
    figures=False,
)


def study(**changes):
    return dataclasses.replace(STUDY, **changes)
