"""What a number means: whoever measures it declares it, and tables and figures read that instead of guessing."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal


@dataclasses.dataclass(frozen=True)
class Score:
    """The meaning of a measured number.

    Args:
        label: what it is called on an axis or above a column, such as ``"test accuracy"``.
        unit: ``"fraction"`` lies in [0, 1] and is shown in percent; otherwise what follows the number, such as
            ``"nats"``; empty for a bare number.
        higher_is_better: None where neither is.
        scale: of an axis that shows it.
        about: how it is measured, for reports, to be read after its name and a colon; without a full stop.
    """

    label: str
    unit: str = ""
    higher_is_better: bool | None = None
    scale: Literal["linear", "log"] = "linear"
    about: str = ""


ACCURACY = Score("accuracy", "fraction", higher_is_better=True)


def plain_scores(scores: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    """Declarations as JSON values, to stand in results beside the numbers that they explain."""
    return {name: dataclasses.asdict(score) for name, score in scores.items()}


def read_scores(results: Mapping[str, Any]) -> dict[str, Score]:
    """The declarations that stand in results under ``"scores"``; results of older versions have none."""
    return {name: Score(**values) for name, values in results.get("scores", {}).items()}
