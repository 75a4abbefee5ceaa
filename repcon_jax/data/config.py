"""What a run's config says about its data, checked when it is built."""

import dataclasses
from typing import Any

from repcon_jax.data.pixels import ResizeMode
from repcon_jax.data.sources import SOURCES
from repcon_jax.data.views import build_views
from repcon_jax.errors import ArgumentError, check_range


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data set, what is chosen from it and how training sees it.

    Args:
        name: data set, see ``load``.
        data_dir, cache_dir: directories of TFDS and of decoded arrays; None takes the defaults of ``load``.
        train_split: the split that is trained on, such as STL10's ``unlabelled``.
        options: the source's own options, such as ``num_examples``.
        classes: classes to keep, relabelled in this order; () keeps all.
        subset: number of training examples to keep, stratified by class; None keeps all.
        subset_seed: chooses the subset, the validation examples and the noisy labels.
        label_noise: share of wrong training labels, those of the validation examples included.
        holdout: share of the training examples that is validation; 0 leaves none.
        image_size: side in pixels that images are resized to before training; None keeps them.
        resize_mode: how, see ``resize``.
        rgb: whether grey images get three channels.
        global_augment, local_augment: augmentation pipelines, see ``parse_pipeline``.
        num_global, num_local: views of every image, see ``build_views``.
    Raises:
        UserError: a value is out of range, a pipeline or an option of an embedded source is wrong.
    """

    name: str
    data_dir: str | None = None
    cache_dir: str | None = None
    train_split: str = "train"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    classes: tuple[int, ...] = ()
    subset: int | None = None
    subset_seed: int = 0
    label_noise: float = 0.0
    holdout: float = 0.1
    image_size: int | None = None
    resize_mode: ResizeMode = "bilinear"
    rgb: bool = False
    global_augment: str = ""
    num_global: int = 1
    local_augment: str = ""
    num_local: int = 0

    def __post_init__(self) -> None:
        """Checks values and pipelines."""
        if self.subset is not None:
            check_range("subset", self.subset, 1)
        if self.image_size is not None:
            check_range("image_size", self.image_size, 1)
        check_range("subset_seed", self.subset_seed, 0)
        check_range("label_noise", self.label_noise, 0, 1)
        check_range("holdout", self.holdout, 0, 1, open_high=True)
        if len(set(self.classes)) < len(self.classes):
            raise ArgumentError("classes", f"is {self.classes} but may name a class only once", "drop the repetition")
        if any(label < 0 for label in self.classes):
            raise ArgumentError("classes", f"is {self.classes} but labels start at 0", "drop the negative ones")
        if self.name in SOURCES.names():
            SOURCES.check(self.name, self.options)
        build_views(self.global_augment, self.num_global, self.local_augment, self.num_local)

    @property
    def has_fixed_views(self) -> bool:
        """Whether training sees an image the same way in every epoch."""
        pipelines = [self.global_augment, self.local_augment if self.num_local else ""]
        return not any(pipeline.strip() for pipeline in pipelines)
