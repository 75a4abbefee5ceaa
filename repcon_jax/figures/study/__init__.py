"""Studies as tables and pictures; everything is read from the results and their declarations."""

from repcon_jax.figures.study.pictures import write_study_figures
from repcon_jax.figures.study.report import write_study_report
from repcon_jax.figures.study.tables import study_tables, write_study_tables

__all__ = ["study_tables", "write_study_figures", "write_study_report", "write_study_tables"]
