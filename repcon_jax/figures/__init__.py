"""From records to pictures and tables; imports records only."""

import pathlib
from typing import Any

from repcon_jax.figures.report import probes_in_words, results_table, write_report


def write_figures(workdir: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Draws every curve that a run has numbers for; see ``repcon_jax.figures.curves.write_figures``."""
    # Imported here because matplotlib takes a second, for which no start need wait.
    from repcon_jax.figures import curves

    return curves.write_figures(workdir, results)


__all__ = ["probes_in_words", "results_table", "write_figures", "write_report"]
