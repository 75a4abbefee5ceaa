"""From a state dict to a network and back: pure functions of arrays by name."""

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from repcon_jax.errors import ArgumentError, CheckpointError
from repcon_jax.models import Model, Network, Pixels, attach_head, create_encoder, create_head, fit
from repcon_jax.trees import named_leaves
from repcon_jax.weights.files import Tensors
from repcon_jax.weights.scheme import Reading, Scheme, Tensor, find_scheme

# Of red, green and blue of ImageNet in [0, 1], with which torchvision, DINO and most of timm train.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _own(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {path: Tensor(path.replace("/", ".")) for path in shapes}


def _unreadable(shapes: Mapping[str, tuple[int, ...]]) -> Reading:
    raise ArgumentError("encoder", "is given but a file with our own names says itself what it holds", "leave it out")


# Our own names, which any network has; what the network is stands in the file beside its tensors.
OWN = Scheme(("repcon_jax",), (), _own, _unreadable, classifier=lambda shapes, options: None, marks=())


def import_network(
    tensors: Mapping[str, np.ndarray],
    encoder: str,
    *,
    format: str | None = None,
    options: Mapping[str, Any] | None = None,
    pixels: Pixels | None = None,
) -> Network:
    """The network of a state dict of another library.

    Args:
        tensors: the state dict, arrays by name.
        encoder: registered name of the encoder that it is of.
        format: of the names, such as ``"torchvision"``; None for the one that they show.
        options: of the encoder, in place of what the shapes say.
        pixels: None for ImageNet's statistics and the size that the shapes say.
    Returns:
        The network: the encoder with a linear head, or with the identity where there is no classifier.
    Raises:
        ArgumentError: there is no scheme for the encoder, or the images do not fit it.
        ConfigError: an option does not exist or is out of range.
        CheckpointError: a tensor is missing, of another shape, or has no place in the encoder.

    >>> from repcon_jax.models import create_encoder, create_head
    >>> model = attach_head(create_encoder("resnet20", width=0.25), create_head("linear", num_classes=3))
    >>> state_dict = export_tensors(Network(*jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3))), model))
    >>> sorted(state_dict)[:2]
    ['bn1.bias', 'bn1.running_mean']
    >>> import_network(state_dict, "resnet20", options={"width": 0.25}).params["head"]["output"]["kernel"].shape
    (16, 3)
    """
    scheme = find_scheme(encoder, format, tensors)
    tensors = _current(tensors, scheme)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    reading = _read(scheme, shapes, encoder)
    options = {**reading.options, **(options or {})}
    model = attach_head(create_encoder(encoder, **options), _head(scheme.classifier(shapes, options), shapes))
    size = (reading.size, reading.size)
    pixels = pixels or Pixels(IMAGENET_MEAN, IMAGENET_STD, size)
    if pixels.size is None:
        pixels = dataclasses.replace(pixels, size=size)
    return assemble(tensors, model, pixels, scheme)


def select_tensors(tensors: Mapping[str, np.ndarray], prefix: str = "", ignore: Sequence[str] = ()) -> Tensors:
    """Those tensors whose names begin so, without that beginning, and without those that are to be ignored.

    Args:
        tensors: by name.
        prefix: such as ``"module.backbone."``.
        ignore: regular expressions of the names that are left.
    Raises:
        ArgumentError: no name begins so, or a text is no regular expression.

    >>> select_tensors({"teacher.a": np.zeros(1), "teacher.b": np.ones(1), "student.a": np.ones(1)}, "teacher.", ["b$"])
    {'a': array([0.])}
    """
    chosen = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not chosen:
        some = ", ".join(sorted(tensors)[:3]) or "nothing"
        raise ArgumentError("prefix", f"is {prefix!r} but the file has no tensor of such a name, only {some}")
    for pattern in ignore:
        try:
            chosen = {name: tensor for name, tensor in chosen.items() if not re.search(pattern, name)}
        except re.error as error:
            raise ArgumentError("ignore", f"is {pattern!r}, which is no regular expression ({error})") from error
    return chosen


def assemble(tensors: Mapping[str, np.ndarray], model: Model, pixels: Pixels, scheme: Scheme) -> Network:
    """The network of a model with the tensors of a state dict.

    Args:
        tensors: the state dict.
        model: encoder and head.
        pixels: with a size.
        scheme: of the names.
    Raises:
        ArgumentError: the model does not take such images.
        CheckpointError: a tensor is missing, of another shape, or has no place in the model.
    """
    images = jax.ShapeDtypeStruct((1, *pixels.size, pixels.channels), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    places = scheme.tensors({path: tuple(leaf.shape) for path, leaf in _leaves(shapes).items()})
    found = {}
    for path, leaf in _leaves(shapes).items():
        name, layout = places[path]
        if name not in tensors:
            raise _missing(name, [tensor.name for tensor in places.values()], tensors)
        # A layout reorders axes, so it needs the right number of them.
        expected = layout.theirs(np.broadcast_to(np.False_, leaf.shape)).shape
        if tensors[name].shape != expected:
            raise _misshaped(name, tensors[name].shape, expected)
        found[path] = np.ascontiguousarray(layout.ours(np.asarray(tensors[name], np.float32)))
    if surplus := sorted(tensors.keys() - {tensor.name for tensor in places.values()}):
        raise _surplus(surplus, [tensor.name for tensor in places.values()])
    trees = [jax.tree_util.tree_map_with_path(lambda path, _: found[_path(path)], shape) for shape in shapes]
    return Network(*fit(*trees, shapes, "the state dict"), model, pixels)


def without_head(network: Network) -> Network:
    """The encoder with the identity in the place of its head."""
    params, state = ({"encoder": tree["encoder"], "head": {}} for tree in (network.params, network.model_state))
    return Network(params, state, attach_head(network.model.part("encoder"), create_head("identity")), network.pixels)


def export_tensors(network: Network, format: str = "torchvision") -> Tensors:
    """A network as a state dict of another library; ``import_network`` gives the network back to the bit.

    Args:
        network: encoder and head.
        format: of the names, such as ``"torchvision"``, or ``"repcon_jax"`` for our own, which any network has.
    Raises:
        ArgumentError: the format cannot say what the network is.
    """
    scheme = OWN if format == "repcon_jax" else _scheme_of(network, format)
    leaves = {path: np.asarray(leaf) for path, leaf in _leaves((network.params, network.model_state)).items()}
    places = scheme.tensors({path: leaf.shape for path, leaf in leaves.items()})
    return {places[path].name: np.ascontiguousarray(places[path].layout.theirs(leaf)) for path, leaf in leaves.items()}


def _scheme_of(network: Network, format: str) -> Scheme:
    """The scheme of a network, checked that it can say all that the network is."""
    encoder, head = (network.model.part(part).origin for part in ("encoder", "head"))
    name = encoder.name if encoder is not None and encoder.kind == "encoder" else "an encoder with an adapter"
    scheme = find_scheme(name, format)
    options = dict(encoder.options)
    for option, allowed in scheme.expressible.items():
        if options[option] not in allowed:
            raise ArgumentError(
                f"encoder.{option}",
                f"is {options[option]!r} but {format} knows {' and '.join(map(repr, allowed))}",
                "export in the format repcon_jax",
            )
    if head is None or head.name not in ("linear", "identity"):
        kind = repr(head.name) if head is not None and head.name else "several"
        raise ArgumentError(
            "head",
            f"is {kind} but {format} knows only a linear classifier",
            "leave it out with --encoder-only, or export in the format repcon_jax",
        )
    return scheme


def _current(tensors: Mapping[str, np.ndarray], scheme: Scheme) -> Tensors:
    """The tensors that the network computes with, by the names that they have now."""
    renamed = {}
    for name, tensor in tensors.items():
        for old, new in scheme.aliases:
            name = re.sub(old, new, name)
        if not any(re.search(ignored, name) for ignored in scheme.ignored):
            renamed[name] = tensor
    return renamed


def _read(scheme: Scheme, shapes: Mapping[str, tuple[int, ...]], encoder: str) -> Reading:
    try:
        return scheme.read(shapes)
    except KeyError as error:
        raise CheckpointError(
            f"the file lacks the tensor {error}, which {encoder} has in the format {scheme.formats[0]}; give the "
            "encoder that it is of, and --prefix where its names begin with more."
        ) from error


def _head(kernel: str | None, shapes: Mapping[str, tuple[int, ...]]) -> Model:
    if kernel is None:
        return create_head("identity")
    bias = f"{kernel.rpartition('.')[0]}.bias"
    return create_head("linear", num_classes=shapes[kernel][0], bias=bias in shapes)


def _leaves(trees: Any) -> dict[str, Any]:
    """Parameters and model state by path, which tells them apart in all of our families."""
    params, state = map(named_leaves, trees)
    if twice := sorted(params.keys() & state.keys()):
        raise ArgumentError("network", f"has {twice[0]!r} among its parameters and in its model state", "rename one")
    return params | state


def _path(keys: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def _missing(name: str, expected: list[str], tensors: Mapping[str, np.ndarray]) -> CheckpointError:
    others = len([other for other in expected if other not in tensors]) - 1
    more = f" and {others} more" if others else ""
    near = difflib.get_close_matches(name, tensors.keys() - set(expected), n=1)
    hint = f"did you mean its {near[0]!r}, or " if near else ""
    return CheckpointError(
        f"the file lacks the tensor {name!r}{more}; {hint}give the encoder and the options that it is of."
    )


def _misshaped(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> CheckpointError:
    return CheckpointError(
        f"tensor {name!r} of the file has the shape {found} but must have {expected}; give the encoder and the options "
        "that it is of, and images of its size and channels."
    )


def _surplus(names: list[str], expected: list[str]) -> CheckpointError:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    near = difflib.get_close_matches(names[0], expected, n=1)
    hint = f" (the nearest name that has one is {near[0]!r})" if near else ""
    return CheckpointError(
        f"the file has a tensor {names[0]!r}{more} that has no place in the network{hint}; give the encoder and the "
        f"options that it is of, or leave it out with --ignore '^{re.escape(names[0])}$'."
    )
