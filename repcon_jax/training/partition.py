"""What trains and what stands still: nested dicts of parameters in two parts, by path."""

from collections.abc import Mapping

from repcon_jax.trees import named_leaves
from repcon_jax.typing import PyTree

Paths = frozenset[str]


def split(tree: PyTree, paths: Paths) -> tuple[PyTree, PyTree]:
    """The tree without the leaves of some paths, and these alone; parts that are left empty go.

    Args:
        tree: nested dicts of leaves.
        paths: as ``trees.named_leaves`` writes them.

    >>> split({"a": {"x": 1}, "b": 2}, frozenset({"a/x"}))
    ({'b': 2}, {'a': {'x': 1}})
    """
    if not paths:
        return tree, {}
    return _part(tree, "", paths, inside=False), _part(tree, "", paths, inside=True)


def merge(first: PyTree, second: PyTree) -> PyTree:
    """The tree that ``split`` cut in two.

    >>> merge({"b": 2}, {"a": {"x": 1}})
    {'a': {'x': 1}, 'b': 2}
    """
    if not isinstance(first, Mapping) or not second:
        return first
    missing = object()
    joined = {}
    for name in sorted({*first, *second}):
        ours, theirs = first.get(name, missing), second.get(name, missing)
        if theirs is missing or ours is missing:
            joined[name] = theirs if ours is missing else ours
        else:
            joined[name] = merge(ours, theirs)
    return joined


def paths_below(tree: PyTree, *names: str) -> Paths:
    """The paths of all leaves below some of the tree's entries.

    >>> sorted(paths_below({"a": {"x": 1, "y": 2}, "b": 3}, "a"))
    ['a/x', 'a/y']
    """
    return frozenset(path for path in named_leaves(tree) if path.split("/")[0] in names)


def _part(tree: PyTree, path: str, paths: Paths, *, inside: bool) -> PyTree:
    part = {}
    for name, value in tree.items():
        below = f"{path}/{name}" if path else name
        if isinstance(value, Mapping):
            kept = _part(value, below, paths, inside=inside)
            # An entry without any leaf, such as the model state of a head, is kept where it stood.
            if kept or (not value and not inside):
                part[name] = kept
        elif (below in paths) == inside:
            part[name] = value
    return part
