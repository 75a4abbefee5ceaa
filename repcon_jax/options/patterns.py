"""Rules by regular expression that must cover every parameter, and what names may consist of."""

import re
from collections.abc import Iterable, Sequence

from repcon_jax.errors import ArgumentError, ConfigError

_CATCH_ALL = (".", ".*")
# Of what a config names, so that references, paths of parameters, tables and file names can hold them.
NAME = r"[\w.+-]*\w"


def check_names(field: str, names: Iterable[str]) -> None:
    """Raises ArgumentError where a name holds other than letters, digits and ``_.+-``.

    >>> check_names("runs", ["a/b"])
    Traceback (most recent call last):
        ...
    repcon_jax.errors.ArgumentError: runs has the name 'a/b' but names consist of letters, digits and any of _.+-; \
rename it.
    """
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            problem = f"has the name {name!r} but names consist of letters, digits and any of _.+-"
            raise ArgumentError(field, problem, "rename it")


def first_matches(patterns: Sequence[str], names: Iterable[str], field: str, example: str) -> dict[str, int]:
    """For every name the index of the first pattern that is found in it.

    Args:
        patterns: regular expressions.
        names: paths of parameters.
        field: config field of the rules, for messages.
        example: a last rule that catches all, likewise.
    Raises:
        ConfigError: a name is covered by no pattern, a pattern other than a last ``.*`` decides for no name, or a
            pattern is no regular expression.

    >>> first_matches(["bias$", ".*"], ["dense/bias", "dense/kernel"], "rules", "('.*', 'keep')")
    {'dense/bias': 0, 'dense/kernel': 1}
    """
    names = list(names)
    compiled = [_compile(pattern, field) for pattern in patterns]
    firsts = {name: next((i for i, p in enumerate(compiled) if p.search(name)), None) for name in names}
    matches = {name: index for name, index in firsts.items() if index is not None}
    for name in names:
        if name not in matches:
            raise ConfigError(
                f"{field} cover no parameter {name!r}; end them with {example} or a pattern that finds it."
            )
    used = set(matches.values())
    for index, pattern in enumerate(patterns):
        # A last rule that catches all is good style even where nothing is left for it.
        last = index == len(patterns) - 1 and pattern in _CATCH_ALL
        if index not in used and not last:
            raise ConfigError(
                f"{field} has the pattern {pattern!r}, which decides for no parameter; the parameters are "
                f"{', '.join(names[:6])}, ...; correct or remove it."
            )
    return matches


def _compile(pattern: str, field: str) -> re.Pattern:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{field} has {pattern!r}, which is no regular expression: {error}.") from error
