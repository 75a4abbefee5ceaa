"""Derived randomness: every key is a function of (seed, name of the stream, step), never threaded.

A run that is killed and resumed therefore draws the same numbers as one that is not.
"""

import hashlib

import jax
from jaxtyping import Array, Int, PRNGKeyArray

Key = PRNGKeyArray


def stable_hash(name: str) -> int:
    """A 31-bit digest of ``name`` that is the same in every process (Python's ``hash`` is not).

    >>> stable_hash("teacher") == stable_hash("teacher")
    True
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1


def stream(key: Key, name: str, step: int | Int[Array, ""] | None = None) -> Key:
    """The key of a named stream, at a step if one is given: fold_in(fold_in(key, hash(name)), step).

    Args:
        key: the run's seed key, from ``jax.random.key(seed)``.
        name: the stream, such as ``"teacher"`` or ``"augment"``.
        step: integer scalar, may be traced.
    Returns:
        A typed PRNG key of shape ().
    """
    key = jax.random.fold_in(key, stable_hash(name))
    return key if step is None else jax.random.fold_in(key, step)
