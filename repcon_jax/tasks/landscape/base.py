"""What an analysis is, and the registry that finds ``tasks/landscape/analyses/``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repcon_jax.registry import Registry

if TYPE_CHECKING:
    from repcon_jax.tasks.landscape.bench import Bench

ANALYSES = Registry("analysis", "repcon_jax.tasks.landscape.analyses")


@dataclass(frozen=True)
class Analysis:
    """What is measured of some networks.

    Args:
        networks: references of all networks that it needs, see ``repcon_jax.tasks.references``.
        measure: bench -> results, as JSON values with the entry ``kind``, from which figures are drawn.
        curves: references of trained curves, whose parameters have a leading axis of bends.
    """

    networks: tuple[str, ...]
    measure: Callable[["Bench"], dict[str, Any]]
    curves: tuple[str, ...] = ()
