"""Downloads a data set and prepares it for reading without TensorFlow.

    python -m repcon_jax.data.prepare NAME [--data-dir DIRECTORY]

TFDS itself does the work, in its array_record format. Many of its builders need TensorFlow here, once; nothing else
of this library does.
"""

import argparse
import logging
import pathlib
import socket
import sys
import urllib.request
from collections.abc import Sequence

from repcon_jax.data.loading import unknown_name
from repcon_jax.data.sources import SOURCES
from repcon_jax.data.tfds_source import INSTALL, data_directory, find_prepared
from repcon_jax.errors import DataError, UserError

_HOST = "storage.googleapis.com"


def prepare(name: str, data_dir: str | None = None) -> str:
    """Downloads and prepares a data set of TFDS.

    Args:
        name: a TFDS builder, with its config where it has one (``"builder/config"``).
        data_dir: TFDS's directory; by default ``$TFDS_DATA_DIR`` or ``~/tensorflow_datasets``.
    Returns:
        A sentence that says what was done.
    Raises:
        DataError: the name is unknown, a package or the network is missing, or TFDS failed.
    """
    if name in SOURCES.names():
        return f"{name!r} is built in and needs no preparation."
    directory = data_directory(data_dir)
    prepared = find_prepared(name, directory)
    if prepared is not None:
        if prepared.file_format == "array_record":
            return f"{name!r} is already prepared in {prepared.directory}."
        raise DataError(
            f"{prepared.directory} is prepared as {prepared.file_format} but must be array_record; "
            f"move it away and prepare {name} again."
        )
    return _download(name, directory)


def _download(name: str, directory: pathlib.Path) -> str:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(f"preparing {name!r} needs TFDS ({error}); run `{INSTALL}`.") from None
    if name.split("/")[0] not in tfds.list_builders(with_community_datasets=False):
        raise DataError(unknown_name(name, directory))
    _check_network(name)
    try:
        builder = tfds.builder(name, data_dir=str(directory), file_format="array_record")
        builder.download_and_prepare()
    except ImportError as error:
        raise DataError(
            f"TFDS needs a package to prepare {name!r} ({_first_line(error)}); run `pip install tensorflow-cpu` (or "
            f"install what is named) and try again; training itself does not need it."
        ) from None
    except Exception as error:  # TFDS and its downloaders raise errors of many libraries.
        raise DataError(
            f"TFDS could not prepare {name!r} in {directory} ({type(error).__name__}: {_first_line(error)}); check "
            f"the network and the free space and try again."
        ) from None
    return f"{name!r} is prepared in {builder.data_dir}."


def _check_network(name: str) -> None:
    """Fails at once where TFDS would retry for minutes; behind a proxy only TFDS itself can tell."""
    if urllib.request.getproxies():
        return
    try:
        socket.getaddrinfo(_HOST, 443)
    except OSError:
        raise DataError(
            f"preparing {name!r} needs the network and {_HOST} can't be found; connect this machine, or prepare it "
            f"on another one and copy its folder here."
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns 0, or 2 after one sentence on standard error."""
    description = "Downloads a data set of TFDS and prepares it in the array_record format."
    parser = argparse.ArgumentParser(prog="python -m repcon_jax.data.prepare", description=description)
    parser.add_argument("name", help="name of the data set, such as cifar10")
    parser.add_argument("--data-dir", help="where to; by default $TFDS_DATA_DIR or ~/tensorflow_datasets")
    options = parser.parse_args(arguments)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        print(prepare(options.name, options.data_dir))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
