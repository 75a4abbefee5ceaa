"""What an analysis is, and the registry that finds the files of this folder, one an analysis."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repcon_jax.options.registry import Registry

if TYPE_CHECKING:
    from repcon_jax.tasks.landscape.bench import LandscapeBench

ANALYSES = Registry("analysis", "repcon_jax.tasks.landscape.analyses")


@dataclass(frozen=True)
class Analysis:
    """What is measured of some networks.

    Args:
        networks: references of all networks that it needs, see ``repcon_jax.run.references``.
        measure: bench -> results, as JSON values: ``kind``, one of ``repcon_jax.figures.landscapes.RESULT_KINDS``, says
            how they are drawn, and ``scores`` what their numbers mean, see ``repcon_jax.records.scores``.
        curves: references of trained curves, whose parameters have a leading axis of bends.
        adjustable: its options that a later start in the same work directory may change, since they only choose
            points of a surface, whose values are kept one by one.
    """

    networks: tuple[str, ...]
    measure: Callable[["LandscapeBench"], dict[str, Any]]
    curves: tuple[str, ...] = ()
    adjustable: tuple[str, ...] = ()
