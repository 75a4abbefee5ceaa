"""Random Teachers are Good Teachers (arXiv 2302.12091): distil a frozen, randomly initialised teacher.

    python -m repcon_jax --config configs/random_teacher.py:cifar10,vgg11 --workdir runs/rt_vgg11

Arguments, at most one of each group, in any order, separated by commas:

    data      cifar10 (default), cifar100, stl10, svhn_cropped, fashion_mnist, mnist, digits, scenes,
              noise (Gaussian images, probed on cifar10)
    encoder   vgg11 (default), vgg13, vgg16, vgg19, resnet18, resnet34, resnet50, resnet20, resnet56,
              vit_tiny, vit_small, vit_medium, vit_base, vit_large, convnet, mlp
    protocol  paper (default), as the text says; released, as the authors' code runs: no weight normalisation in
              the bottleneck's output layer, AdamW's default decay 0.01 on one-dimensional parameters, the incomplete
              batch kept (here filled up from the start of the epoch's order, so that all batches have one size)

What to expect: on CIFAR10 after 100 epochs the paper reports, linear probe, teacher -> student, 36.55 -> 51.98 for
VGG11 and 35.50 -> 46.02 for ResNet18 (raw input 39.02). The student first gets worse, for some hundred steps.
"""

import dataclasses

from ml_collections import ConfigDict

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import split_arguments, with_options
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.training.optimisers import OptimiserConfig

ARGUMENTS = {
    "data": {
        "cifar10": DataConfig("cifar10"),
        "cifar100": DataConfig("cifar100"),
        "stl10": DataConfig("stl10", image_size=32),
        "svhn_cropped": DataConfig("svhn_cropped"),
        "fashion_mnist": DataConfig("fashion_mnist", image_size=32, resize_mode="pad"),
        "mnist": DataConfig("mnist", image_size=32, resize_mode="pad"),
        "digits": DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 32}),
        "scenes": DataConfig("scenes", options=SOURCES.options("scenes")),
        "noise": DataConfig("gaussian_noise", options=SOURCES.options("gaussian_noise")),
    },
    "encoder": {name: name for name in ENCODERS.names()},
    "protocol": {"paper": {}, "released": {"weight_normalisation": False}},
}

# What AdamW's own default does to biases and norm parameters in the released code, whatever decay its config sets.
RELEASED_RULES = (
    (r"(^|/)(bias|scale)$", "set(weight_decay=0.01)"),
    (".*", "default"),
)


def get_config(arguments: str | None = None) -> ConfigDict:
    """The paper's recipe for the arguments listed at the top of this file."""
    chosen = split_arguments(arguments, ARGUMENTS, {"data": "cifar10", "encoder": "vgg11", "protocol": "paper"})
    released = chosen["protocol"] == "released"
    config = ExperimentConfig(
        title="Random Teachers are Good Teachers",
        data=ARGUMENTS["data"][chosen["data"]],
        encoder=with_options(ENCODERS, chosen["encoder"]),
        head=with_options(HEADS, "projector", **ARGUMENTS["protocol"][chosen["protocol"]]),
        objective=with_options(OBJECTIVES, "distillation"),
        optimiser=OptimiserConfig(name="adamw", learning_rate=1e-3, weight_decay=0.0),
        probe=ProbeConfig(every="10 epochs", data="cifar10" if chosen["data"] == "noise" else None),
        batch_size=256,
        duration="100 epochs",
    )
    if released:
        optimiser = dataclasses.replace(config.optimiser, rules=RELEASED_RULES)
        config = dataclasses.replace(config, optimiser=optimiser, drop_last=False)
    return ConfigDict(plain_config(config))
