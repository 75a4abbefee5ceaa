"""Data sets that TFDS has prepared on disk in the array_record format, read without TensorFlow."""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np
from jaxtyping import UInt8

from repcon_jax.data.cache import version_order
from repcon_jax.data.dataset import Dataset
from repcon_jax.errors import DataError, did_you_mean

INSTALL = "pip install tensorflow-datasets array-record importlib-resources"
_BLOCK = 1000


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A prepared data set, as its ``dataset_info.json`` describes it.

    Args:
        name: builder name, with the config where it has one, such as ``"cifar10"``.
        directory: where the records lie.
        version: version of the data set.
        splits: names of its splits.
        file_format: format of the records.
        source: digest of ``dataset_info.json``, which changes with the number of records and their sizes.
    """

    name: str
    directory: pathlib.Path
    version: str
    splits: tuple[str, ...]
    file_format: str
    source: str


def data_directory(data_dir: str | None = None) -> pathlib.Path:
    """``data_dir``, else ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``."""
    return pathlib.Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def prepared_names(directory: pathlib.Path) -> list[str]:
    """Names of all data sets prepared under ``directory``."""
    return sorted({path.parent.parent.name for path in directory.glob("*/*/dataset_info.json")})


def find_prepared(name: str, directory: pathlib.Path) -> Prepared | None:
    """The newest prepared version of ``name`` under ``directory``, None where there is none.

    A builder with configs may be named without one where only one is prepared.

    Raises:
        DataError: there are several configs, or the ``dataset_info.json`` is corrupt.
    """
    folder = directory / name
    infos = list(folder.glob("*/dataset_info.json")) or list(folder.glob("*/*/dataset_info.json"))
    parents = sorted({path.parent.parent for path in infos})
    if len(parents) > 1:
        configs = ", ".join(f"{name}/{parent.name}" for parent in parents)
        raise DataError(f"data set {name!r} is prepared in several configs; choose one of: {configs}.")
    path = max(infos, key=lambda p: version_order(p.parent.name), default=None)
    if path is None:
        return None
    try:
        content = path.read_bytes()
        info = json.loads(content)
        splits = tuple(split["name"] for split in info["splits"])
        digest = hashlib.sha256(content).hexdigest()
        return Prepared(name, path.parent, path.parent.name, splits, info.get("fileFormat", "tfrecord"), digest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is corrupt ({error}); {_prepare_again(name, path.parent)}.") from None


def read_prepared(prepared: Prepared, split: str, image_size: int | None = None, label: str | None = None) -> Dataset:
    """Decodes one split into arrays.

    Args:
        prepared: what ``find_prepared`` returned.
        split: one of ``prepared.splits``.
        image_size: side in pixels that every image's central square is resized to (PIL's antialiased bilinear
            filter), needed where the images differ in size; None keeps the pixels.
        label: which of several class labels is taken; None takes ``label``, or else the first.
    Raises:
        DataError: TFDS is not installed, the records are corrupt or of another format, they are not uint8 images of
            one size, or have no such label.
    """
    if prepared.file_format != "array_record":
        raise DataError(
            f"{prepared.directory} is prepared as {prepared.file_format} but must be array_record; "
            f"{_prepare_again(prepared.name, prepared.directory)}."
        )
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(f"reading {prepared.directory} needs TFDS ({error}); run `{INSTALL}`.") from None
    try:
        builder = tfds.builder_from_directory(str(prepared.directory))
        image_key, label_key = _keys(tfds, builder.info.features, label)
        source = builder.as_data_source(split=split)
        images, labels = _decode(source, image_key, label_key, image_size)
    except (RuntimeError, OSError, ValueError, KeyError, IndexError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(_corrupt(prepared, split, error)) from None
    if labels is None or (labels < 0).all():  # TFDS writes -1 where a split has no labels.
        return Dataset(images, None, (), prepared.name, split)
    names = builder.info.features[label_key].names
    return Dataset(images, labels, tuple(str(name) for name in names), prepared.name, split)


def _corrupt(prepared: Prepared, split: str, error: Exception) -> str:
    shards = sorted(prepared.directory.glob(f"*-{split}.array_record*"))
    place = shards[0] if len(shards) == 1 else prepared.directory / f"*-{split}.array_record*"
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{place} is corrupt or missing ({reason}); {_prepare_again(prepared.name, prepared.directory)}."


def _prepare_again(name: str, directory: pathlib.Path) -> str:
    return f"delete the folder {directory} and run `python -m repcon_jax.data.prepare {name}`"


def _keys(tfds: Any, features: Any, wanted: str | None) -> tuple[str, str | None]:
    """The keys of the image and of the label among the features of a builder."""
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if not images:
        raise DataError(f"the data set's features are {', '.join(features)}, none an image; choose an image data set.")
    if wanted is not None and wanted not in labels:
        raise DataError(f"the data set has no class label {wanted!r}; {did_you_mean(wanted, labels)}.")
    label = wanted or ("label" if "label" in labels else next(iter(labels), None))
    return ("image" if "image" in images else images[0]), label


def _decode(
    source: Any, image_key: str, label_key: str | None, image_size: int | None
) -> tuple[UInt8[np.ndarray, "n h w c"], Any]:
    images, labels = [], []
    for start in range(0, len(source), _BLOCK):
        for example in source.__getitems__(range(start, min(start + _BLOCK, len(source)))):
            image = example[image_key]
            images.append(image if image_size is None else _central_square(image, image_size))
            labels.append(-1 if label_key is None else example[label_key])
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise DataError(f"the images have {len(shapes)} different sizes; give the option image_size.")
    if images and images[0].dtype != np.uint8:
        raise DataError(f"the images are {images[0].dtype} but must be uint8; choose another data set.")
    return np.stack(images), None if label_key is None else np.asarray(labels, np.int32)


def _central_square(image: UInt8[np.ndarray, "h w c"], size: int) -> UInt8[np.ndarray, "s s c"]:
    from PIL import Image

    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box)).reshape(size, size, -1)
