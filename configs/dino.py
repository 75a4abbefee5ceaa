"""DINO (arXiv 2104.14294) at small image sizes: the opposite end from a random teacher, in the same loop.

    python -m repcon_jax --config configs/dino.py:cifar10,resnet18 --workdir runs/dino_resnet18

Arguments, at most one of each group, in any order, separated by commas:

    data      cifar10 (default), cifar100, stl10, svhn_cropped, scenes
    encoder   resnet18 (default), resnet50, vgg11, vit_tiny, vit_small, convnet, mlp
    crops     multi_crop (default): 2 global and 4 local views; two_views: 2 global views alone

The teacher is the moving average of the student (momentum 0.996 -> 1, cosine), its logits are centred (0.9) and
sharpened (temperature 0.04 against 0.1), each view is compared with the others, weight decay rises from 0.04 to 0.4,
gradients are clipped at norm 3, and the output layer stands still for the first epoch (while the optimiser's averages
of its gradients run). Images below 64 pixels are not blurred, as in the random-teacher paper's released code; the
learning rate is that code's. Local crops are scaled up to the size of global ones, which every encoder can take.
"""

from ml_collections import ConfigDict

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import split_arguments, with_options
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.training.optimisers import OptimiserConfig

_COLOUR = (
    "flip|colour_jitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, probability=0.8)|grey(probability=0.2)"
)
GLOBAL = f"random_resized_crop(size=32, min_scale=0.4, max_scale=1.0)|{_COLOUR}|solarise(probability=0.1)"
LOCAL = f"random_resized_crop(size=32, min_scale=0.05, max_scale=0.4)|{_COLOUR}"

ARGUMENTS = {
    "data": {
        "cifar10": {"name": "cifar10"},
        "cifar100": {"name": "cifar100"},
        "stl10": {"name": "stl10", "image_size": 32},
        "svhn_cropped": {"name": "svhn_cropped"},
        "scenes": {"name": "scenes", "options": SOURCES.options("scenes")},
    },
    "encoder": {name: name for name in ("resnet18", "resnet50", "vgg11", "vit_tiny", "vit_small", "convnet", "mlp")},
    "crops": {"multi_crop": {"num_local": 4, "local_augment": LOCAL}, "two_views": {}},
}


def get_config(arguments: str | None = None) -> ConfigDict:
    """DINO's recipe for the arguments listed at the top of this file."""
    chosen = split_arguments(arguments, ARGUMENTS, {"data": "cifar10", "encoder": "resnet18", "crops": "multi_crop"})
    config = ExperimentConfig(
        title="DINO",
        data=DataConfig(
            **ARGUMENTS["data"][chosen["data"]],
            global_augment=GLOBAL,
            num_global=2,
            **ARGUMENTS["crops"][chosen["crops"]],
        ),
        encoder=with_options(ENCODERS, chosen["encoder"]),
        head=with_options(HEADS, "projector"),
        objective=with_options(
            OBJECTIVES,
            "distillation",
            start="copy",
            teacher_update="ema",
            teacher_momentum="cosine(start=0.996, end=1.0)",
            teacher_batch_norm="from_data",
            centre_momentum=0.9,
            teacher_temperature=0.04,
            student_temperature=0.1,
            pairing="opposite",
        ),
        optimiser=OptimiserConfig(
            name="adamw",
            learning_rate="cosine(start=5e-4, end=1e-6, warmup='10 percent')",
            weight_decay="cosine(start=0.04, end=0.4)",
            clip_norm=3.0,
            rules=(
                (r"head/.*output.*kernel", "set(frozen='1 epochs')"),
                (r"(^|/)(bias|scale)$", "set(weight_decay=0.0)"),
                (".*", "default"),
            ),
        ),
        probe=ProbeConfig(every="10 epochs"),
        batch_size=256,
        duration="100 epochs",
    )
    return ConfigDict(plain_config(config))
