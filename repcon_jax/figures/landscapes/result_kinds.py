"""How results are drawn and tabulated, and the registry that finds ``figures/landscapes/kinds/``, one file a kind."""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from repcon_jax.options.registry import Registry

RESULT_KINDS = Registry("kind", "repcon_jax.figures.landscapes.kinds")

Results = dict[str, Any]
Table = list[list[str]]


@dataclass(frozen=True)
class ResultKind:
    """What is made of the results whose entry ``kind`` has the name under which this is registered.

    Args:
        draw: folder, results -> paths of the pictures and pages that were written there.
        tables: results -> tables of text, each with its header as the first row.
        settings: entries of the results that say how they came about, for titles.
    """

    draw: Callable[[pathlib.Path, Results], list[pathlib.Path]]
    tables: Callable[[Results], list[Table]]
    settings: tuple[str, ...] = ()
