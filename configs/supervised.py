"""Training with labels, from a random initialisation or from the encoder of any checkpoint.

    python -m repcon_jax --config configs/supervised.py:cifar10,resnet18 --workdir runs/supervised_resnet18

Arguments, at most one of each group, in any order, separated by commas:

    data      cifar10 (default), cifar100, stl10, svhn_cropped, fashion_mnist, mnist, digits, scenes
    encoder   resnet18 (default), resnet34, resnet50, resnet20, vgg11, vgg16, vit_tiny, vit_small, convnet, mlp
    length    full (default), 160 epochs; short, 20 epochs with the steps of the learning rate in proportion

The recipe of the random-teacher paper's section 6: SGD with momentum 0.9, learning rate 0.1, divided by 10 after a
half and after three quarters of the run, weight decay 1e-4, batch 256, horizontal flips (not of digits) and padded
crops. To start from a distilled student: --config.objective.start=checkpoint --config.objective.checkpoint=runs/NAME/
checkpoints/seed_0/STEP. Training uses the whole training set and probes come at the end alone; with
--config.probe.during=validation a tenth of it is held out and probed every 20 epochs.
"""

from ml_collections import ConfigDict

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import split_arguments, with_options
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.training.optimisers import OptimiserConfig

_CROP = "padded_crop(padding=4)"

ARGUMENTS = {
    "data": {
        "cifar10": DataConfig("cifar10", global_augment=f"flip|{_CROP}"),
        "cifar100": DataConfig("cifar100", global_augment=f"flip|{_CROP}"),
        "stl10": DataConfig("stl10", image_size=32, global_augment=f"flip|{_CROP}"),
        "svhn_cropped": DataConfig("svhn_cropped", global_augment=_CROP),
        "fashion_mnist": DataConfig("fashion_mnist", image_size=32, resize_mode="pad", global_augment=f"flip|{_CROP}"),
        "mnist": DataConfig("mnist", image_size=32, resize_mode="pad", global_augment=_CROP),
        "digits": DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 32}, global_augment=_CROP),
        "scenes": DataConfig("scenes", options=SOURCES.options("scenes")),
    },
    "encoder": {
        name: name
        for name in (
            *("resnet18", "resnet34", "resnet50", "resnet20", "vgg11", "vgg16"),
            *("vit_tiny", "vit_small", "convnet", "mlp"),
        )
    },
    "length": {"full": "160 epochs", "short": "20 epochs"},
}


def get_config(arguments: str | None = None) -> ConfigDict:
    """The recipe for the arguments listed at the top of this file."""
    chosen = split_arguments(arguments, ARGUMENTS, {"data": "cifar10", "encoder": "resnet18", "length": "full"})
    config = ExperimentConfig(
        title="Supervised training",
        data=ARGUMENTS["data"][chosen["data"]],
        encoder=with_options(ENCODERS, chosen["encoder"]),
        head=with_options(HEADS, "linear"),
        objective=with_options(OBJECTIVES, "supervised"),
        optimiser=OptimiserConfig(
            name="sgd",
            learning_rate="multi_step(start=0.1, milestones=('50 percent', '75 percent'), factor=0.1)",
            weight_decay=1e-4,
            momentum=0.9,
        ),
        probe=ProbeConfig(every="20 epochs", during="none"),
        batch_size=256,
        duration=ARGUMENTS["length"][chosen["length"]],
    )
    return ConfigDict(plain_config(config))
