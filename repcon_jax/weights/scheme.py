"""What a naming scheme is, how another library names the tensors of a family, and the registry that finds them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from repcon_jax.errors import ArgumentError, did_you_mean
from repcon_jax.options.registry import Registry
from repcon_jax.weights.layouts import CONVOLUTION, LINEAR, SAME, Layout

SCHEMES = Registry("scheme", "repcon_jax.weights.schemes")
Shapes = Mapping[str, tuple[int, ...]]

# The last part of our paths and of PyTorch's names.
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


class Tensor(NamedTuple):
    """Where an array of ours stands in a state dict.

    Attributes:
        name: its name there.
        layout: the order of its axes there.
    """

    name: str
    layout: Layout = SAME


class Reading(NamedTuple):
    """What the shapes in a state dict say of the network.

    Attributes:
        options: of the encoder.
        size: side in pixels of the images that the network takes.
    """

    options: dict[str, Any]
    size: int


@dataclass(frozen=True)
class Scheme:
    """How a library names the tensors of one family of encoders with a linear classifier, or of none.

    Args:
        formats: the libraries, such as ``"torchvision"``; each has one scheme of a family.
        encoders: names of the encoders.
        tensors: shapes of a network's parameters and model state by path, such as ``encoder/stem/conv/kernel`` ->
            where each stands in a state dict.
        read: shapes of a state dict by name -> what they say of the encoder; a KeyError names what is missing.
        classifier: shapes of a state dict by name, options of the encoder -> name of the classifier's kernel, or None.
        marks: beginnings of names, of which a state dict of this scheme has one for each.
        aliases: regular expressions of older names, and what they are now.
        ignored: regular expressions of names that have no part in the network's output.
        expressible: options of the encoder -> the values that a state dict can stand for.
    """

    formats: tuple[str, ...]
    encoders: tuple[str, ...]
    tensors: Callable[[Shapes], dict[str, Tensor]]
    read: Callable[[Shapes], Reading]
    classifier: Callable[[Shapes, Mapping[str, Any]], str | None]
    marks: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    expressible: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def tensor(path: str, shape: tuple[int, ...], module: str, layout: Layout | None = None) -> Tensor:
    """Where an array stands that is a parameter or statistic of a PyTorch module.

    Args:
        path: ours.
        shape: ours.
        module: the module's name there.
        layout: None for a convolution's where a kernel has four axes, and a linear map's where it has two.

    >>> tensor("encoder/stem/norm/mean", (64,), "bn1").name
    'bn1.running_mean'
    """
    leaf = path.rpartition("/")[2]
    if layout is None:
        layout = {4: CONVOLUTION, 2: LINEAR}[len(shape)] if leaf == "kernel" else SAME
    return Tensor(f"{module}.{_LEAVES[leaf]}", layout)


def find_scheme(encoder: str, format: str | None, names: Mapping[str, Any] | None = None) -> Scheme:
    """The scheme of an encoder in a format.

    Args:
        encoder: its registered name.
        format: such as ``"torchvision"``; None for the one that the names of a state dict show.
        names: of the state dict's tensors.
    Raises:
        ArgumentError: the encoder has no scheme, none of that format, or the names show none.
    """
    schemes = [scheme for scheme in map(SCHEMES.build, SCHEMES.names()) if encoder in scheme.encoders]
    if not schemes:
        known = sorted({name for scheme in map(SCHEMES.build, SCHEMES.names()) for name in scheme.encoders})
        raise ArgumentError("encoder", f"is {encoder!r}, for which there is no scheme", did_you_mean(encoder, known))
    formats = {name: scheme for scheme in schemes for name in scheme.formats}
    if format is not None:
        if format not in formats:
            raise ArgumentError("format", f"is {format!r}, which has no {encoder}", did_you_mean(format, formats))
        return formats[format]
    fitting = [scheme for scheme in schemes if _shows(scheme, names or {})]
    if not fitting:
        raise ArgumentError(
            "file",
            f"has no names of {encoder} in the formats {', '.join(formats)} but such as "
            f"{', '.join(sorted(names or {})[:3]) or 'none at all'}",
            "give the encoder that it is of, --prefix where all its names begin with the same, or --format",
        )
    # One that knows more names is more particular.
    return max(fitting, key=lambda scheme: len(scheme.marks))


def _shows(scheme: Scheme, names: Mapping[str, Any]) -> bool:
    return all(any(name.startswith(mark) for name in names) for mark in scheme.marks)
