"""Choices of a config: builders with their options, arguments after the colon, and what differs between two configs."""

from collections.abc import Mapping
from typing import Any

from repcon_jax.errors import ConfigError, did_you_mean
from repcon_jax.options.registry import Registry
from repcon_jax.options.schema import Choice


def with_options(registry: Registry, name: str, **options: Any) -> Choice:
    """A choice with every option of builder ``name``, so that each can be overridden on the command line.

    Raises:
        ConfigError: the name or an option does not exist.
    """
    registry.check(name, options)
    return Choice(name, {**registry.options(name), **options})


def differing_fields(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the fields in which two plain configs differ, tuples and lists being the same.

    >>> differing_fields({"a": 1, "b": {"c": (1,)}}, {"a": 2, "b": {"c": [1]}})
    ['a']
    """
    names = []
    for key in sorted({*first, *second}):
        a, b = first.get(key), second.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            names += differing_fields(a, b, f"{prefix}{key}.")
        elif _listed(a) != _listed(b) or (key in first) != (key in second):
            names.append(f"{prefix}{key}")
    return names


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, (list, tuple)) else value


def split_arguments(text: str | None, groups: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, str]) -> dict:
    """Reads a config file's argument, such as ``cifar10,vgg11``: at most one name of each group, in any order.

    Args:
        text: what stands after the colon of ``--config FILE:ARG``.
        groups: for every group, such as ``data`` and ``encoder``, its names and what they stand for.
        defaults: the name taken from a group that the argument does not mention.
    Returns:
        For every group the name chosen.
    Raises:
        ConfigError: a name belongs to no group, or two to the same.

    >>> split_arguments("b", {"data": {"a": 1, "b": 2}}, {"data": "a"})
    {'data': 'b'}
    """
    chosen: dict[str, str] = {}
    for word in filter(None, (w.strip() for w in (text or "").split(","))):
        group = next((g for g, names in groups.items() if word in names), None)
        if group is None:
            known = [name for names in groups.values() for name in names]
            raise ConfigError(f"config argument {word!r} does not exist; {did_you_mean(word, known)}.")
        if group in chosen:
            raise ConfigError(f"config argument names two of {group}: {chosen[group]!r} and {word!r}; keep one.")
        chosen[group] = word
    return {**defaults, **chosen}
