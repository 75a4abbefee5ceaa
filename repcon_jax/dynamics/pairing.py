"""Which of the teacher's views is compared with which of the student's."""

from typing import Literal

from repcon_jax.errors import ArgumentError

Pairing = Literal["same", "opposite", "all"]


def view_pairs(pairing: Pairing, num_teacher: int, num_student: int) -> list[tuple[int, int]]:
    """Pairs (teacher view, student view) whose losses are averaged.

    Args:
        pairing: ``same`` compares a view with itself, ``opposite`` with every other one, ``all`` with each.
        num_teacher: number of the teacher's (global) views.
        num_student: number of the student's views; the first ``num_teacher`` are the teacher's.
    Raises:
        ArgumentError: the pairing leaves no pair.

    >>> view_pairs("opposite", 2, 3)
    [(0, 1), (0, 2), (1, 0), (1, 2)]
    """
    pairs = [
        (t, s)
        for t in range(num_teacher)
        for s in range(num_student)
        if pairing == "all" or (pairing == "same") == (t == s)
    ]
    if not pairs:
        problem = f"is {pairing!r} but there is a single view, which leaves nothing to compare"
        raise ArgumentError("pairing", problem, "give two global views or compare the same")
    return pairs
