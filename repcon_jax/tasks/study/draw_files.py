"""Which examples were drawn, as small text files that others can compare, and train on too."""

import pathlib
from collections.abc import Mapping

import numpy as np

from repcon_jax.records.files import write_atomically
from repcon_jax.tasks.study.targets import Draw, Indices, Target


def write_draws(folder: pathlib.Path, targets: Mapping[str, Target]) -> None:
    """Writes ``TARGET.txt`` for every target of which numbers of shots were drawn.

    The first lines name the data set and the digest of its training examples; then stands a draw a line: shots, number
    of the draw, and the indices of its examples, ascending, counted within the target's training examples.

    Args:
        folder: made if need be.
        targets: by name.
    """
    for name, target in targets.items():
        drawn = {draw: indices for draw, indices in target.draws.items() if draw[0] is not None}
        if drawn:
            folder.mkdir(parents=True, exist_ok=True)
            head = [
                f"# {target.splits.train.name}, training examples {target.digests['train']}",
                "# shots draw: indices",
            ]
            lines = [f"{shots} {draw}: {' '.join(map(str, drawn[shots, draw]))}" for shots, draw in sorted(drawn)]
            write_atomically(folder / f"{name}.txt", "\n".join([*head, *lines]) + "\n")


def read_draws(file: pathlib.Path) -> tuple[str, dict[Draw, Indices]]:
    """The digest of the training examples and the draws of a file that ``write_draws`` wrote."""
    lines = file.read_text().splitlines()
    draws: dict[Draw, Indices] = {}
    for line in lines:
        if not line.startswith("#"):
            place, _, indices = line.partition(":")
            shots, draw = map(int, place.split())
            draws[shots, draw] = np.array(indices.split(), np.int32)
    return lines[0].split()[-1], draws
