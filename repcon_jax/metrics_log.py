"""Metrics on disk: one JSON object a row in ``metrics.jsonl``, and TensorBoard files beside it."""

import json
import pathlib
from typing import Any

import numpy as np

from repcon_jax.training.loop import MetricRows


class MetricsLog:
    """Appends the rows of one member (seed) of a run.

    Args:
        workdir: of the run.
        seed: of the member.
        first_step: the step that the run starts or resumes from; later TensorBoard entries of a killed run are hidden.
    """

    def __init__(self, workdir: pathlib.Path, seed: int, first_step: int) -> None:
        """Opens both files for appending."""
        from tensorboardX import SummaryWriter

        self._seed = seed
        self._file = (workdir / "metrics.jsonl").open("a")
        folder = workdir / "tensorboard" / f"seed_{seed}"
        self._writer = SummaryWriter(str(folder), purge_step=first_step + 1 if first_step else None)
        self.pending: MetricRows = []

    def gather(self, rows: MetricRows) -> None:
        """Keeps the metrics of single steps until the next ``write_train``."""
        self.pending.extend(rows)

    def write_train(self, step: int, epoch: float, extra: dict[str, float]) -> None:
        """Writes the mean over the gathered steps, with further values; nothing where no step was gathered."""
        means = {k: float(np.mean([row[k] for row in self.pending])) for k in (self.pending or [{}])[0]}
        self.pending.clear()
        self.write("train", step, epoch, {**means, **extra})

    def write(self, kind: str, step: int, epoch: float, values: dict[str, Any]) -> None:
        """Writes one row, flushed so that a kill cannot lose it."""
        row = {"kind": kind, "seed": self._seed, "step": step, "epoch": epoch, **values}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Closes both files."""
        self._file.close()
        self._writer.close()


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """All rows of a run, in the order of writing."""
    path = workdir / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
