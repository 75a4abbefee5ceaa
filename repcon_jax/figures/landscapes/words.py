"""Numbers and settings of landscapes in words, for titles, tables and the names of files."""

import math
import re
from typing import Any

from repcon_jax.figures.landscapes.result_kinds import RESULT_KINDS
from repcon_jax.figures.landscapes.scales import Scale


def number(value: float | None, scale: Scale | None = None, digits: int = 4) -> str:
    """A number, in the unit of its scale.

    >>> number(0.123456), number(None)
    ('0.1235', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    return f"{scale.factor * value:.2f}" if scale is not None and scale.is_fraction else f"{value:.{digits}g}"


def mean_and_spread(summary: dict[str, Any], scale: Scale) -> str:
    """Mean and standard deviation, in the unit of their scale."""
    spread = "" if summary.get("std") is None else f" ± {number(summary['std'], scale, 3)}"
    return f"{number(summary.get('mean'), scale, 3)}{spread}"


def describe(results: dict[str, Any]) -> str:
    """Where the numbers of a landscape come from, on one line.

    >>> describe({"kind": "paths", "batch_norm": "recalibrated", "path": "linear", "aligned": False})
    'batch norm: recalibrated · path: linear · aligned: no'
    """
    settings = ("batch_norm", *RESULT_KINDS.build(results["kind"]).settings)
    values = {name: results[name] for name in settings if results.get(name) is not None}
    words = {name: ("yes" if v else "no") if isinstance(v, bool) else str(v) for name, v in values.items()}
    return " · ".join(f"{name.replace('_', ' ')}: {value.replace('_', ' ')}" for name, value in words.items())


def title_of(results: dict[str, Any], grid: dict[str, Any] | None = None) -> str:
    """The title, and which part of a plane a grid shows.

    >>> title_of({"title": "Three networks"}, {"name": "crop_1"})
    'Three networks, crop 1'
    """
    part = "" if grid is None or grid["name"] == "whole" else f", {grid['name'].replace('_', ' ')}"
    return f"{results['title']}{part}"


def slug(name: str) -> str:
    """A name as part of a file's name.

    >>> slug("linear(standardise=True)"), slug("train/kl_divergence")
    ('linear_standardise_true', 'train_kl_divergence')
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
