"""One round: its start written as step 0 of an ordinary run, its end read from that run's last checkpoint.

So a round is trained, resumed, logged and reported like any run, and its mask lies in every checkpoint.
"""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from repcon_jax.run.members import Member
from repcon_jax.training.checkpoints import Checkpoints
from repcon_jax.typing import PyTree


def stored_masks(folder: pathlib.Path, like: dict[int, PyTree]) -> dict[int, PyTree] | None:
    """The masks of a round that was begun, or None: a later start must not prune it anew, on other devices say.

    Args:
        folder: of the round.
        like: by seed, a tree of its structure.
    """
    if not all((folder / "checkpoints" / str(Member(seed, {})) / "0").is_dir() for seed in like):
        return None
    stored = ends(folder, tuple(like), 0)
    return {
        seed: jax.tree.unflatten(jax.tree.structure(tree), map(jnp.asarray, jax.tree.leaves(stored[seed]["mask"])))
        for seed, tree in like.items()
    }


def ends(folder: pathlib.Path, seeds: tuple[int, ...], step: int | None = None) -> dict[int, dict[str, Any]]:
    """Parameters, model state and mask of every seed of a finished round.

    Args:
        folder: of the round.
        seeds: of the members.
        step: which checkpoint; None for the newest.
    """
    stored = {}
    for seed in seeds:
        checkpoints = Checkpoints(folder / "checkpoints" / str(Member(seed, {})), read_only=True)
        wanted = checkpoints.steps()[-1] if step is None else step
        stored[seed] = checkpoints.restore_parts(wanted, ("params", "model_state", "mask"))
        checkpoints.close()
    return stored
