"""Imports and exports weights.

    python -m repcon_jax.weights show FILE
    python -m repcon_jax.weights import FILE DIRECTORY --encoder NAME [--option NAME=VALUE ...]
    python -m repcon_jax.weights export CHECKPOINT[:PART] PLACE --format FORMAT

A file is .safetensors, .npz, or .pth of PyTorch, of which nothing but tensors is read. Its scheme is found by its
names, what of the encoder's options shapes show is read from them, and ``--option`` says the rest. The last line of
``import`` is the reference that studies, landscapes and teachers take. Formats are torchvision, timm, dino,
repcon_jax (safetensors with our own names, for any network, which ``import`` reads without options) and orbax. Beside
all that is written stands a model card.
"""

import argparse
import dataclasses
import json
import logging
import pathlib
import shlex
import sys
from collections.abc import Sequence

from repcon_jax.errors import ArgumentError, UserError
from repcon_jax.models import Network, Pixels
from repcon_jax.records.files import write_atomically, write_json
from repcon_jax.run.command_line import parse_value
from repcon_jax.run.networks import load_network, rebuild_network
from repcon_jax.weights.card import UNKNOWN, write_card
from repcon_jax.weights.convert import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    OWN,
    assemble,
    export_tensors,
    import_network,
    select_tensors,
    without_head,
)
from repcon_jax.weights.files import read_metadata, read_tensors, write_tensors
from repcon_jax.weights.folders import check_free, write_checkpoint, write_orbax
from repcon_jax.weights.provenance import IMPORTED, card_of_file, card_of_run
from repcon_jax.weights.scheme import find_scheme

_NETWORK, _FORMAT, _CARD = "repcon_jax.network", "repcon_jax.format", "MODEL_CARD.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns 0, or 2 after one sentence on standard error."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(arguments)
    options.line = shlex.join(["python", "-m", "repcon_jax.weights", *arguments])
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        print({"show": _show, "import": _import, "export": _export}[options.command](options))
    except UserError as error:
        said = str(error).replace("--config.encoder.", "--option ")
        print(f"error: {said}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; mend that and give the same command again.", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m repcon_jax.weights", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="lists the tensors of a file")
    take = commands.add_parser("import", help="makes a checkpoint of a file")
    for command in (show, take):
        command.add_argument("file", type=pathlib.Path, help="a .safetensors, .npz or .pth file")
        command.add_argument("--prefix", default="", help="take only tensors of names that begin so, without that")
        command.add_argument("--ignore", action="append", default=[], help="a regular expression of names to leave out")
    take.add_argument("directory", type=pathlib.Path, help="where the checkpoint goes, such as runs/imported")
    take.add_argument("--encoder", help="that the file is of, such as resnet50; a file of ours says it itself")
    take.add_argument("--format", help="of the names; by default that which they show")
    take.add_argument("--option", action="append", default=[], help="of the encoder, such as depth=6; repeatable")
    take.add_argument("--size", type=int, help="height and width of the images; by default what the shapes show")
    take.add_argument("--mean", type=float, nargs="+", default=IMAGENET_MEAN, help="of each channel, in [0, 1]")
    take.add_argument("--std", type=float, nargs="+", default=IMAGENET_STD, help="likewise; by default ImageNet's")
    give = commands.add_parser("export", help="writes a network of a checkpoint for other programs")
    give.add_argument("checkpoint", help="a step's folder, and :PART for other than what was trained")
    give.add_argument("place", type=pathlib.Path, help="a .safetensors file, or a directory for orbax")
    give.add_argument("--format", required=True, help="torchvision, timm, dino, repcon_jax or orbax")
    for command in (take, give):
        command.add_argument("--encoder-only", action="store_true", help="leave the classifier out")
        command.add_argument("--licence", default=UNKNOWN, help="of the weights, for the model card")
    return parser


def _show(options: argparse.Namespace) -> str:
    tensors = select_tensors(read_tensors(options.file), options.prefix, options.ignore)
    width = max(map(len, tensors), default=0)
    lines = [f"{name:{width}}  {array.dtype!s:8}  {array.shape}" for name, array in tensors.items()]
    return "\n".join([*lines, f"{len(tensors)} tensors, {sum(a.size for a in tensors.values()):,} numbers"])


def _import(options: argparse.Namespace) -> str:
    check_free(options.directory / "checkpoints" / "weights" / "0")
    network = _read_own(options) if options.encoder is None else _read_foreign(options)
    network = without_head(network) if options.encoder_only else network
    card = card_of_file(network, options.file, options.line, options.licence)
    folder = write_checkpoint(network, options.directory)
    write_json(options.directory / IMPORTED, dataclasses.asdict(card))
    write_atomically(options.directory / _CARD, write_card(card))
    head = network.model.part("head").origin
    with_head = "" if head is None else f" with the head {head.name}"
    return (
        f"{card.parameters:,} parameters{with_head}, images of {'x'.join(map(str, network.pixels.size))} pixels; "
        f"the reference to this network is\n{folder}"
    )


def _read_foreign(options: argparse.Namespace) -> Network:
    tensors = select_tensors(read_tensors(options.file), options.prefix, options.ignore)
    if len(options.mean) != len(options.std):
        raise ArgumentError("std", f"has {len(options.std)} values but the mean {len(options.mean)}", "give as many")
    size = None if options.size is None else (options.size, options.size)
    return import_network(
        tensors,
        options.encoder,
        format=options.format,
        options=_pairs(options.option),
        pixels=Pixels(tuple(options.mean), tuple(options.std), size),
    )


def _read_own(options: argparse.Namespace) -> Network:
    """A network of a file that ``export`` wrote, which says itself what it is."""
    tensors, metadata = read_tensors(options.file), read_metadata(options.file)
    if _NETWORK not in metadata:
        raise ArgumentError(
            "encoder", f"is not given and {options.file} does not say it", "give --encoder resnet50, say"
        )
    model, pixels = rebuild_network(json.loads(metadata[_NETWORK]))
    format = metadata[_FORMAT]
    scheme = OWN if format == "repcon_jax" else find_scheme(model.part("encoder").origin.name, format)
    return assemble(tensors, model, pixels, scheme)


def _pairs(texts: Sequence[str]) -> dict[str, object]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    for name, value in pairs.items():
        if not value:
            raise ArgumentError("option", f"is {name!r} but must be NAME=VALUE", "give it so")
    return {name: parse_value(value) for name, value in pairs.items()}


def _export(options: argparse.Namespace) -> str:
    folder, _, part = options.checkpoint.partition(":")
    card_file = (options.place if options.format == "orbax" else options.place.parent) / _CARD
    check_free(options.place)
    check_free(card_file)
    network = load_network(folder, part or "params")
    network = without_head(network) if options.encoder_only else network
    if network.pixels.size is None:
        raise ArgumentError("checkpoint", "is of a version that did not keep its images' size", "train it again")
    card = card_of_run(network, pathlib.Path(folder), options.place.stem, options.line, options.licence)
    if options.format == "orbax":
        write_orbax(network, options.place, dataclasses.asdict(card))
    else:
        metadata = {"format": "pt", _FORMAT: options.format, _NETWORK: json.dumps(card.network)}
        write_tensors(options.place, export_tensors(network, options.format), metadata)
    write_atomically(card_file, write_card(card))
    return f"{options.place} and {card_file}"


if __name__ == "__main__":
    sys.exit(main())
