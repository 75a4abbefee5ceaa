"""Metrics on disk: one JSON object a row in ``metrics.jsonl``, and TensorBoard files beside it."""

import json
import math
import pathlib
from typing import Any

import numpy as np

from repcon_jax.records.files import write_atomically
from repcon_jax.typing import MetricRows


class MetricsLog:
    """Appends the rows of one member of a run.

    Args:
        workdir: of the run.
        folder: name of the TensorBoard folder of the member.
        labels: what marks its rows.
        resumed_from: the step that a killed run goes on from, whose later TensorBoard entries are to be hidden; None
            for a run that was never begun.
    """

    def __init__(self, workdir: pathlib.Path, folder: str, labels: dict[str, Any], resumed_from: int | None) -> None:
        """Opens both files for appending."""
        from tensorboardX import SummaryWriter

        self._labels = labels
        self._file = (workdir / "metrics.jsonl").open("a")
        self._writer = SummaryWriter(
            str(workdir / "tensorboard" / folder), purge_step=resumed_from and resumed_from + 1
        )

    def write_train(self, rows: MetricRows, step: int, epoch: float, extra: dict[str, float]) -> None:
        """Writes the mean over the metrics of single steps, with further values."""
        means = {k: float(np.mean([row[k] for row in rows])) for k in (rows or [{}])[0]}
        self.write("train", step, epoch, {**means, **extra})

    def write(self, kind: str, step: int, epoch: float, values: dict[str, Any]) -> None:
        """Writes one row, flushed so that a kill cannot lose it."""
        row = {"kind": kind, **self._labels, "step": step, "epoch": epoch, **values}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, value in values.items():
            if not math.isfinite(value):
                continue
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Closes both files."""
        self._file.close()
        self._writer.close()


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """All whole rows of a run, in the order of writing; a kill can leave half a line."""
    path = workdir / "metrics.jsonl"
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and {"kind", "seed", "step", "epoch"} <= row.keys():
            rows.append(row)
    return rows


def truncate_metrics(workdir: pathlib.Path, labels: dict[str, Any], last_step: int) -> None:
    """Drops what a killed member logged after its last checkpoint, so that a resumed one logs every step once.

    Args:
        workdir: of the run.
        labels: of the member; rows of others stay.
        last_step: the step that it resumes from, -1 where it starts afresh.
    """
    path = workdir / "metrics.jsonl"
    if path.exists():
        rows = read_metrics(workdir)
        kept = [row for row in rows if not labels.items() <= row.items() or row["step"] <= last_step]
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept))
