"""Claims about two networks, written in the config before the run, such as ``"probe: student - teacher > 0"``."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from repcon_jax.errors import ArgumentError, did_you_mean

_NAME = r"[\w.+-]*\w"
_NUMBER = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?"
_CLAIM = re.compile(rf"(?:([\w/]+)\s*:\s*)?({_NAME})\s+-\s+({_NAME})\s*([<>])\s*({_NUMBER})")


@dataclass(frozen=True)
class Claim:
    """A difference of two networks' values and the threshold that it is said to be above or below.

    Args:
        measurement: name of the measurement, or ``MEASUREMENT/SCORE``.
        first, second: names of the networks.
        relation: of the difference first - second to the threshold.
        threshold: in the unit of the score.
    """

    measurement: str
    first: str
    second: str
    relation: Literal[">", "<"]
    threshold: float


def parse_claim(text: str, networks: Collection[str], measurements: Collection[str]) -> Claim:
    """Reads ``"[MEASUREMENT: ]FIRST - SECOND > NUMBER"``, or with ``<``.

    Args:
        text: the claim; the measurement may be left out where there is one.
        networks, measurements: the names that there are.
    Raises:
        ArgumentError: the text is no claim or names what does not exist.

    >>> parse_claim("probe: student - teacher > 0", ["student", "teacher"], ["probe"]).relation
    '>'
    """
    match = _CLAIM.fullmatch(text.strip())
    if match is None:
        raise ArgumentError(
            "claims", f"has {text!r} but a claim reads 'MEASUREMENT: FIRST - SECOND > NUMBER'", "write it so"
        )
    measurement, first, second, relation, threshold = match.groups()
    if measurement is None and len(measurements) == 1:
        (measurement,) = measurements
    if measurement is None or measurement.split("/")[0] not in measurements:
        hint = did_you_mean(measurement or "", measurements)
        raise ArgumentError("claims", f"has {text!r}, which names no measurement", hint)
    for name in (first, second):
        if name not in networks:
            raise ArgumentError(
                "claims", f"has {text!r}, which names no network {name!r}", did_you_mean(name, networks)
            )
    return Claim(measurement, first, second, relation, float(threshold))
