"""Augmentation pipelines as text, so that a whole pipeline is one scalar of the config."""

import ast
import inspect
from typing import Any

import jax
from jaxtyping import Array, Float

from repcon_jax.data.augmentations import AUGMENTATIONS, Augmentation
from repcon_jax.errors import ConfigError
from repcon_jax.random import Key

_SYNTAX = "write names with options and bars between them, such as 'flip|padded_crop(padding=4)'"


def parse_pipeline(text: str) -> Augmentation:
    """The augmentation that ``text`` describes: registered names, options in brackets, from left to right.

    Args:
        text: such as ``"flip|padded_crop(padding=4)"``; ``""`` is the identity.
    Returns:
        ``augment(key, images [b, h, w, c] in [0, 1]) -> images``; every stage has its own key.
    Raises:
        ConfigError: the text is not of this form, a name or an option is unknown or an option's value is wrong.

    >>> augment = parse_pipeline("flip(probability=1.0)|resize(size=2)")
    >>> augment(jax.random.key(0), jax.numpy.zeros((1, 4, 4, 3))).shape
    (1, 2, 2, 3)
    """
    stages = [AUGMENTATIONS.build(name, **options) for name, options in _stages(text)]

    def augment(key: Key, images: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        for position, stage in enumerate(stages):
            images = stage(jax.random.fold_in(key, position), images)
        return images

    return augment


def _stages(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and options of every stage; the text is parsed as Python's expression a | b | c and never evaluated."""
    if not text.strip():
        return []
    try:
        node: ast.expr = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ConfigError(f"the augmentation pipeline {text!r} can't be read; {_SYNTAX}.") from None
    nodes = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        nodes.append(node.right)
        node = node.left
    return [_stage(text, stage) for stage in [node, *reversed(nodes)]]


def _stage(text: str, node: ast.expr) -> tuple[str, dict[str, Any]]:
    if isinstance(node, ast.Name):
        return _checked(node.id, {})
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ConfigError(f"the augmentation pipeline {text!r} holds {ast.unparse(node)!r}; {_SYNTAX}.")
    if node.args:
        raise ConfigError(
            f"{node.func.id} in the augmentation pipeline {text!r} has an option without a name; {_SYNTAX}."
        )
    options = {}
    for keyword in node.keywords:
        try:
            options[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            raise ConfigError(
                f"{keyword.arg} in the augmentation pipeline {text!r} is {ast.unparse(keyword.value)!r} but must be "
                f"a number, True or False; {_SYNTAX}."
            ) from None
    return _checked(node.func.id, options)


def _checked(name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    for option, default in AUGMENTATIONS.options(name).items():
        if default is inspect.Parameter.empty and option not in options:
            raise ConfigError(f"{name} needs the option {option!r}; write it as '{name}({option}=...)'.")
        if isinstance(default, float) and type(options.get(option)) is int:
            options[option] = float(options[option])
    return name, options
