"""What an objective remembers of the examples: computed once for a run and kept in its work directory until its end."""

import os
import pathlib
import shutil
import zipfile
from collections.abc import Callable, Sequence

import jax
import numpy as np
from tqdm import tqdm

from repcon_jax.machine.distributed import from_main, is_main, tree_from_main
from repcon_jax.training.checkpoints import tree_digest
from repcon_jax.training.loop import TrainData
from repcon_jax.training.population import Population
from repcon_jax.training.recipe import MemberValues
from repcon_jax.training.step import TrainState

Arrays = list[np.ndarray]


def remember(
    program: Population,
    state: TrainState,
    members: MemberValues,
    workdir: pathlib.Path,
    between: Callable[[int], None],
    say: Callable[[str], None],
) -> TrainData:
    """The training set of a group, with what the objective remembers of it, if anything.

    Args:
        program: of the group.
        state: of the group.
        members: its values.
        workdir: of the run, where an earlier start may have left it.
        between: see ``Population.remembered``.
        say: receives a line where it has to be computed.
    """
    shapes = program.shapes_remembered
    if shapes is None:
        return program.recipe.data
    leaves, structure = jax.tree.flatten(shapes)
    folder, seeds = workdir / "remembered", [int(seed) for seed in members.seeds]
    images = tree_digest({"images": jax.device_get(program.recipe.data.images)})
    constants = (program.constant_of(state, i) for i in range(len(seeds)))
    digests = [f"{images} {tree_digest(jax.device_get(constant))}" for constant in constants]
    kept = _read(folder, seeds, digests) if is_main() else None
    if from_main(kept is not None):
        zeros = [np.zeros(leaf.shape, leaf.dtype) for leaf in leaves]
        return program.data_with(jax.tree.unflatten(structure, tree_from_main(zeros if kept is None else kept)))
    count = len(program.recipe.data.images)
    say(f"What never changes about the {count} examples is computed once, which takes part of an epoch's time.")
    with tqdm(total=count, unit="image", dynamic_ncols=True, leave=False, disable=not is_main()) as bar:

        def show(examples: int) -> None:
            between(examples)
            bar.update(examples - bar.n)

        computed = program.remembered(state, members, show)
    if is_main():
        _write(folder, seeds, digests, jax.tree.leaves(computed))
    return program.data_with(computed)


def forget(workdir: pathlib.Path) -> None:
    """Deletes what was kept; to be called at the end of the run."""
    shutil.rmtree(workdir / "remembered", ignore_errors=True)


def _file(folder: pathlib.Path, seed: int) -> pathlib.Path:
    return folder / f"seed_{seed}.npz"


def _read(folder: pathlib.Path, seeds: Sequence[int], digests: Sequence[str]) -> Arrays | None:
    """The leaves [seeds, examples, ...]; None where a seed's are not there, of something else or damaged."""
    rows = []
    for seed, digest in zip(seeds, digests, strict=True):
        try:
            with np.load(_file(folder, seed)) as stored:
                if str(stored["digest"]) != digest:
                    return None
                rows.append([stored[f"leaf_{i}"] for i in range(len(stored.files) - 1)])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
    return [np.stack(leaves) for leaves in zip(*rows, strict=True)]


def _write(folder: pathlib.Path, seeds: Sequence[int], digests: Sequence[str], leaves: Arrays) -> None:
    folder.mkdir(exist_ok=True)
    for i, (seed, digest) in enumerate(zip(seeds, digests, strict=True)):
        temporary = folder / f".seed_{seed}.{os.getpid()}.npz"
        np.savez(temporary, digest=digest, **{f"leaf_{j}": leaf[i] for j, leaf in enumerate(leaves)})
        os.replace(temporary, _file(folder, seed))
