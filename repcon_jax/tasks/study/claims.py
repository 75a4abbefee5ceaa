"""Claims about two networks, written in the config before the run, such as ``"probe: student - teacher > 0"``."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from repcon_jax.errors import ArgumentError, did_you_mean
from repcon_jax.options.patterns import NAME

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CLAIM = re.compile(rf"(?:({NAME}(?:/\w+)?)\s*:\s*)?({NAME})\s+-\s+({NAME})\s*([<>])\s*({_NUMBER})")


@dataclass(frozen=True)
class Claim:
    """A difference of two networks' values and the threshold that it is said to be above or below.

    Args:
        score: measurement and score, ``"MEASUREMENT/SCORE"``.
        first, second: names of the networks.
        relation: of the difference first - second to the threshold.
        threshold: in the unit of the score.
    """

    score: str
    first: str
    second: str
    relation: Literal[">", "<"]
    threshold: float


def parse_claim(text: str, networks: Collection[str], scores: Collection[str]) -> Claim:
    """Reads ``"[MEASUREMENT[/SCORE]: ]FIRST - SECOND > NUMBER"``, or with ``<``.

    Args:
        text: the claim; the measurement may be left out where there is one.
        networks: names of all.
        scores: that single networks have, ``"MEASUREMENT/SCORE"``.
    Raises:
        ArgumentError: the text is no claim or names what does not exist.

    >>> parse_claim("probe: student - teacher > 0", ["student", "teacher"], ["probe/value"]).score
    'probe/value'
    """
    match = _CLAIM.fullmatch(text.strip())
    if match is None:
        problem = f"has {text!r} but a claim reads 'MEASUREMENT: FIRST - SECOND > NUMBER', or with <"
        raise ArgumentError("claims", problem, "write it so, with spaces around the minus")
    measurement, first, second, relation, threshold = match.groups()
    measurements = {score.partition("/")[0] for score in scores}
    if measurement is None and len(measurements) == 1:
        (measurement,) = measurements
    if measurement is None:
        names = ", ".join(sorted(measurements)) or "none, as all are of pairs"
        raise ArgumentError("claims", f"has {text!r}, which does not say of which measurement", f"name one of: {names}")
    score = resolve_score("claims", measurement, scores)
    for name in (first, second):
        if name not in networks:
            raise ArgumentError(
                "claims", f"has {text!r} but no network is called {name!r}", did_you_mean(name, networks)
            )
    if first == second:
        raise ArgumentError("claims", f"has {text!r}, which compares a network with itself", "name two")
    return Claim(score, first, second, relation, float(threshold))


def resolve_score(argument: str, text: str, scores: Collection[str]) -> str:
    """The score that is meant by ``MEASUREMENT/SCORE``, or by ``MEASUREMENT`` for its first one.

    Args:
        argument: that holds the text, for the message.
        text: names a measurement of single networks.
        scores: of such measurements, ``"MEASUREMENT/SCORE"``.
    Raises:
        ArgumentError: there is no such score.

    >>> resolve_score("claims", "probe", ["h_score/score", "probe/value"])
    'probe/value'
    """
    for score in scores:
        if text in (score, score.partition("/")[0]):
            return score
    measurements = {score.partition("/")[0] for score in scores}
    names = {score for score in scores if score.startswith(f"{text.partition('/')[0]}/")} or measurements
    hint = did_you_mean(text, names) if names else "add one"
    raise ArgumentError(argument, f"names {text!r}, which is no measurement of single networks or score of one", hint)
