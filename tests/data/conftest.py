"""Small data sets for the tests of this room."""

import io

import numpy as np
import pytest

from repcon_jax.data import Dataset
from repcon_jax.data.tfds_source import data_directory, find_prepared


@pytest.fixture(scope="session")
def tiny():
    """30 random RGB images of three classes with 15, 10 and 5 examples."""
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.repeat([0, 1, 2], [15, 10, 5])).astype(np.int32)
    return Dataset(generator.integers(0, 256, (30, 6, 6, 3), np.uint8), labels, ("a", "b", "c"), "tiny", "train")


def _prepare(directory, name, splits, file_format="array_record"):
    """Prepares ``splits``, {split: (images, labels)}, as an ordinary TFDS data set that TFDS has no code for."""
    import tensorflow_datasets as tfds
    from PIL import Image

    def examples(images, labels):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = io.BytesIO()
            Image.fromarray(image).save(file, format="png")
            yield i, {"image": file.getvalue(), "label": int(label)}

    def info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["a", "b", "c"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    body = {
        "VERSION": tfds.core.Version("1.0.0"),
        "name": name,
        "_info": info,
        "_split_generators": lambda self, _: {split: examples(*arrays) for split, arrays in splits.items()},
        "_generate_examples": lambda self: iter(()),
        "__module__": __name__,
    }
    builder = type("Prepared", (tfds.core.GeneratorBasedBuilder,), body, skip_registration=True)
    builder(data_dir=str(directory), file_format=file_format).download_and_prepare()


@pytest.fixture(scope="session")
def prepare_with_tfds():
    """The function that prepares arrays as an ordinary TFDS data set, with no network and no TensorFlow."""
    return _prepare


@pytest.fixture(scope="session")
def tfds_source(tmp_path_factory, tiny):
    """A data directory in which TFDS has prepared ``tiny`` with a train, a test and an unlabelled split."""
    directory = tmp_path_factory.mktemp("tfds")
    splits = {
        "train": (tiny.images, tiny.labels),
        "test": (tiny.images[:7], tiny.labels[:7]),
        "unlabelled": (tiny.images[:4], [-1] * 4),
    }
    _prepare(directory, "tiny", splits)
    return directory


@pytest.fixture
def needs_cifar10():
    """Skips where CIFAR10 is not prepared."""
    if find_prepared("cifar10", data_directory()) is None:
        pytest.skip("CIFAR10 is not prepared; run python -m repcon_jax.data.prepare cifar10")
