"""Pictures and pages of landscapes: planes, paths and curvature."""

import pathlib
from typing import Any

from repcon_jax.errors import ConfigError, did_you_mean
from repcon_jax.figures.landscapes.report import landscape_tables, write_landscape_report


def write_landscape_figures(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws the results of a landscape.

    Args:
        folder: for the pictures; made where it is missing.
        results: of kind ``plane``, ``paths`` or ``curvature``.
    Returns:
        Paths of what was written, PNG pictures and interactive HTML pages.
    Raises:
        ConfigError: the results are of another kind.
    """
    # Imported here because matplotlib takes a second, for which no start need wait.
    from repcon_jax.figures.landscapes import curvature, interactive, paths, planes, surfaces3d

    writers = {
        "plane": (planes.write_planes, surfaces3d.write_surfaces, interactive.write_pages),
        "paths": (paths.write_paths,),
        "curvature": (curvature.write_curvature,),
    }
    kind = results["kind"]
    if kind not in writers:
        raise ConfigError(f"results of kind {kind!r} have no pictures; {did_you_mean(kind, writers)}")
    folder.mkdir(parents=True, exist_ok=True)
    return [path for write in writers[kind] for path in write(folder, results)]


__all__ = ["landscape_tables", "write_landscape_figures", "write_landscape_report"]
