"""What every task does before and around its own work: is it done, may it go on, whose is the work directory."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from repcon_jax.errors import UserError
from repcon_jax.records.files import read_json
from repcon_jax.records.workdir import check_config, open_workdir, recorded

Complete = Callable[[Mapping[str, Any]], dict[str, Any]]


def finished(
    workdir: pathlib.Path,
    plain: Mapping[str, Any],
    complete: Complete,
    may_differ: tuple[str, ...],
    say: Callable[[str], None],
) -> dict[str, Any] | None:
    """The results of a task that an earlier start completed with the same config, or None.

    Args:
        workdir: of the task.
        plain, complete, may_differ: see ``repcon_jax.records.workdir.check_config``.
        say: receives lines for the user.
    Raises:
        CheckpointError: the work directory is another config's.
    """
    check_config(workdir, plain, complete, may_differ)
    done = workdir / "results.json"
    if not done.exists() or not (workdir / "report.md").exists():
        return None
    try:
        check_config(workdir, plain, complete)
    except UserError:
        return None
    say(f"This {plain['task']} is complete: see {workdir / 'report.md'}.")
    return read_json(done, "kind")


@contextlib.contextmanager
def begun(workdir: pathlib.Path, plain: Mapping[str, Any]) -> Iterator[None]:
    """Within, the work directory is locked, this start is noted, and results of an earlier config are gone.

    Raises:
        CheckpointError: it cannot be written, or another process is running in it.
    """
    with recorded(workdir):
        # Results of another config would be taken for complete if a kill came before the new ones.
        (workdir / "results.json").unlink(missing_ok=True)
        open_workdir(workdir, plain, replace=True)
        yield
