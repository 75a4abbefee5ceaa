"""What one member of a run leaves on disk: metrics, checkpoints, its result."""

import pathlib
from typing import Any

import jax

from repcon_jax.errors import CheckpointError
from repcon_jax.records.files import read_json, write_json
from repcon_jax.records.metrics_log import MetricsLog, truncate_metrics
from repcon_jax.run.experiment import Experiment
from repcon_jax.run.members import Member
from repcon_jax.training.checkpoints import Checkpoints
from repcon_jax.training.step import TrainState
from repcon_jax.typing import MetricRows, Params

RESULT_KEYS = ("seed", "steps", "probe", "train", "test", "distance")


def result_file(workdir: pathlib.Path, name: Member) -> pathlib.Path:
    """Where the final numbers of a member are kept."""
    return workdir / "members" / f"{name}.json"


def read_result(workdir: pathlib.Path, name: Member) -> dict[str, Any] | None:
    """The final numbers of a member; None while it is not done."""
    file = result_file(workdir, name)
    return read_json(file, *RESULT_KEYS) if file.exists() else None


class MemberFiles:
    """The files of one member; only host 0 has any.

    Args:
        experiment: the run's.
        workdir: of the run.
        name: of the member.
    """

    def __init__(self, experiment: Experiment, workdir: pathlib.Path, name: Member) -> None:
        """Opens the checkpoints."""
        rule = experiment.config.checkpoint
        self.name = name
        self.pending: MetricRows = []
        self.last_epoch: MetricRows = []
        self._workdir = workdir
        self._steps_per_epoch = experiment.clock.steps_per_epoch
        self._log: MetricsLog | None = None
        self._checkpoints = Checkpoints(
            workdir / "checkpoints" / str(name),
            keep_last=rule.keep_last,
            keep_steps=experiment.kept_steps(),
            keep_every=experiment.steps(rule.keep_every, "checkpoint.keep_every"),
            constant=experiment.objective.constant,
            frozen=experiment.recipe.frozen,
        )
        self._descriptions = experiment.descriptions

    def saved_steps(self) -> list[int]:
        """The steps that can be restored."""
        return self._checkpoints.steps()

    def restore(self, template: TrainState, step: int) -> TrainState:
        """The state at a step, on the host, and what was logged up to it."""
        state, extra = self._checkpoints.restore(template, step)
        self.pending, self.last_epoch = extra["pending"], extra["last_epoch"]
        return state

    def start_params(self) -> Params:
        """The parameters before the first step.

        Raises:
            CheckpointError: they are gone.
        """
        if 0 not in self._checkpoints.steps():
            raise CheckpointError(
                f"{self._checkpoints.directory} has no step 0, from which distances are measured; put it back or "
                "start in a new work directory."
            )
        return self._checkpoints.restore_parts(0, ("params",))["params"]

    def truncate_log(self, step: int) -> None:
        """Drops what was logged beyond the step that the member goes on from; to be called before any log is open."""
        # At step 0 the callbacks are called again, so what they logged goes too.
        truncate_metrics(self._workdir, self.name.labels, step or -1)

    def open_log(self, step: int) -> None:
        """Opens the log of a member that goes on from a step."""
        begun = bool(self._checkpoints.steps())
        self._log = MetricsLog(self._workdir, str(self.name), self.name.labels, step if begun else None)

    def add(self, rows: MetricRows) -> None:
        """Keeps the metrics of single steps."""
        self.pending.extend(rows)
        self.last_epoch = [*self.last_epoch, *rows][-self._steps_per_epoch :]

    def write_train(self, step: int, epoch: float, extra: dict[str, float]) -> None:
        """Writes the mean of the metrics since the last time, with further values."""
        self._log.write_train(self.pending, step, epoch, extra)
        self.pending = []

    def write(self, kind: str, step: int, epoch: float, values: dict[str, float]) -> None:
        """Writes one row."""
        self._log.write(kind, step, epoch, values)

    def save(self, step: int, state: TrainState) -> None:
        """Writes a checkpoint and deletes none."""
        extra = {"pending": self.pending, "last_epoch": self.last_epoch, **self.name.labels}
        self._checkpoints.save(step, jax.device_get(state), extra, self._descriptions(state))

    def tidy(self) -> None:
        """Deletes checkpoints that need not be kept."""
        self._checkpoints.tidy()

    def write_result(self, result: dict[str, Any]) -> None:
        """Writes the final numbers."""
        file = result_file(self._workdir, self.name)
        file.parent.mkdir(exist_ok=True)
        write_json(file, result)

    def close(self) -> None:
        """Closes what is open."""
        if self._log is not None:
            self._log.close()
        self._checkpoints.close()
