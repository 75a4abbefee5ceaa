"""From plain config values to frozen dataclasses, with one clear sentence for whatever does not fit."""

import ast
import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from repcon_jax.errors import ArgumentError, ConfigError, did_you_mean

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Choice:
    """A named builder of a registry with the options that the config gives it."""

    name: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def check_type(field: str, value: Any, annotation: Any) -> None:
    """Raises ConfigError unless ``value`` is of the annotated type (int counts as float, never bool as int).

    Args:
        field: dotted name of the field, for the message.
        value: what was found.
        annotation: bool, int, float, str, None, Literal, a union, tuple[X, ...] or tuple[X, Y].

    >>> check_type("batch_size", 3, int | None)
    """
    if (problem := type_problem(value, annotation)) is not None:
        raise ConfigError(f"{field} {problem}; correct --config.{field}.")


def type_problem(value: Any, annotation: Any) -> str | None:
    """What is wrong where ``value`` is not of the annotated type, to be read after its name; else None.

    >>> type_problem("3", int)
    "is '3' (str) but must be int"
    """
    if _fits(value, annotation):
        return None
    return f"is {value!r} ({type(value).__name__}) but must be {describe_type(annotation)}"


def describe_type(annotation: Any) -> str:
    """The annotation in words for a message.

    >>> describe_type(Literal["a", "b"])
    "one of 'a', 'b'"
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(repr(a) for a in args)
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(a) for a in args if not _only_inside(a))
    if origin is tuple:
        return "a tuple of " + describe_type(args[0])
    return "None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def may_vary(annotation: Any) -> bool:
    """Whether an option of this type may be a traced scalar, hence differ between the members of a population.

    >>> from repcon_jax.typing import Scalar
    >>> may_vary(Scalar | str), may_vary(float | str)
    (True, False)
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    return origin in (Union, types.UnionType) and any(_only_inside(a) for a in args)


def _only_inside(annotation: Any) -> bool:
    """Whether no config value is of this type: it only stands in for one within a compiled program."""
    plain = annotation in (bool, int, float, str, Any, type(None))
    return not plain and typing.get_origin(annotation) is None


def _fits(value: Any, annotation: Any) -> bool:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return True
    if origin is Literal:
        return any(value == a and type(value) is type(a) for a in args)
    if origin in (Union, types.UnionType):
        return any(_fits(value, a) for a in args)
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        if len(args) == 2 and args[1] is Ellipsis:
            return all(_fits(v, args[0]) for v in value)
        return len(value) == len(args) and all(_fits(v, a) for v, a in zip(value, args, strict=True))
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (None, type(None)):
        return value is None
    return isinstance(value, typing.get_origin(annotation) or annotation)


def to_dataclass(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Builds the frozen dataclass ``cls`` from a mapping; nested dataclasses, and dicts of them, from nested mappings.

    Args:
        cls: a dataclass whose annotations say what is allowed.
        values: a mapping such as ``ConfigDict.to_dict()``.
        prefix: dotted path of ``values`` within the whole config, for messages.
    Raises:
        ConfigError: an unknown key (nearest valid name given), a missing key or a wrong type.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    built = {}
    for key, value in values.items():
        path = f"{prefix}.{key}" if prefix else key
        if key not in fields:
            raise ConfigError(f"config has no field {path!r}; {did_you_mean(key, fields)}.")
        built[key] = _convert(path, value, hints[key])
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in built:
            path = f"{prefix}.{name}" if prefix else name
            raise ConfigError(
                f"config lacks the field {path!r}, {describe_type(hints[name])}; add it to the config file."
            )
    try:
        return cls(**built)
    except ArgumentError as error:
        raise error.within(prefix) from error


def to_dict(config: Any) -> Any:
    """The inverse of ``to_dataclass``: nested plain dicts, tuples and scalars; a Choice becomes one flat dict."""
    if isinstance(config, Choice):
        return {"name": config.name, **config.options}
    if dataclasses.is_dataclass(config):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {name: to_dict(value) for name, value in config.items()}
    return config


def parse_call(text: str, field: str) -> tuple[str, dict[str, Any]]:
    """Reads ``"name"`` or ``"name(key=value, ...)"`` with literal values, so that one scalar can say it all.

    Args:
        text: the call; nothing in it is evaluated.
        field: dotted config field, for the message.
    Returns:
        The name and its keyword arguments.
    Raises:
        ConfigError: the text is not such a call.

    >>> parse_call("cosine(start=0.996, end=1.0)", "objective.teacher_momentum")
    ('cosine', {'start': 0.996, 'end': 1.0})
    """
    if text.strip().isidentifier():  # a name such as 'global' is a keyword of Python
        return text.strip(), {}
    try:
        node = ast.parse(text.strip(), mode="eval").body
        named = isinstance(node, ast.Call) and not node.args and all(keyword.arg for keyword in node.keywords)
        if named and isinstance(node.func, ast.Name):
            return node.func.id, {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    except (SyntaxError, ValueError):
        pass
    raise ConfigError(
        f"{field} is {text!r} but must be a name or a call with keywords such as 'name(key=1.0)'; "
        f"correct --config.{field}."
    )


def _convert(path: str, value: Any, annotation: Any) -> Any:
    inner = _optional(annotation)
    if inner is not None:
        return None if value is None else _convert(path, value, inner)
    if annotation is Choice:
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise ConfigError(f"{path} is {value!r} but must be a group with a 'name'; correct the config file.")
        return Choice(value["name"], {k: _plain(v) for k, v in value.items() if k != "name"})
    if dataclasses.is_dataclass(annotation):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} is {value!r} but must be a group of fields; correct the config file.")
        return to_dataclass(annotation, value, path)
    if typing.get_origin(annotation) is dict and isinstance(value, Mapping):
        kind = typing.get_args(annotation)[1]
        if kind is Choice or dataclasses.is_dataclass(kind):
            return {key: _convert(f"{path}.{key}", entry, kind) for key, entry in value.items()}
        for key, entry in value.items():
            check_type(f"{path}.{key}", entry, kind)
    check_type(path, value, annotation)
    return _plain(value)


def _optional(annotation: Any) -> Any:
    """What an optional group of fields is where it is not None; None for every other annotation."""
    args = typing.get_args(annotation)
    if typing.get_origin(annotation) not in (Union, types.UnionType) or type(None) not in args:
        return None
    return next((arg for arg in args if arg is Choice or dataclasses.is_dataclass(arg)), None)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    return tuple(_plain(v) for v in value) if isinstance(value, (list, tuple)) else value
