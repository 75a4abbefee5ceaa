"""The checker that runs the package's annotations while testing: beartype with PEP 484's int-is-a-float."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))
_checked: dict[Any, Callable] = {}


def check(function: Any) -> Any:
    """Beartype, once for every definition.

    What jaxtyping gives it are functions that only have the arguments and annotations of ours; one within a function is
    defined anew at every call of that, and beartype writes and compiles Python each time.
    """
    if isinstance(function, type):
        return _beartype(function)
    names, annotations = function.__code__.co_varnames, repr(function.__annotations__)
    key = (function.__module__, function.__qualname__, names, annotations)
    if key not in _checked:
        _checked[key] = _beartype(function)
    return _checked[key]
