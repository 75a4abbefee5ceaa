"""From result files to plots and reports, nothing else."""

from repcon_jax.figures.curves import write_figures
from repcon_jax.figures.report import results_table, write_report

__all__ = ["results_table", "write_figures", "write_report"]
