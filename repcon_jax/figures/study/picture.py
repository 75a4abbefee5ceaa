"""What a picture of a study is, and the registry that finds ``figures/study/pictures/``, one file a kind."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from repcon_jax.figures.study.places import Results
from repcon_jax.options.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = Registry("picture", "repcon_jax.figures.study.pictures")

Picture = Callable[[Results], "dict[str, Figure]"]
"""``draw(results) -> figures`` by the names of their files; none where the results have nothing of the kind."""
