"""Members trained together in one compiled program: logged, probed, saved one by one, and resumed where they were."""

import dataclasses
import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from repcon_jax.errors import DivergenceError
from repcon_jax.machine.distributed import agree, from_main, is_main, tree_from_main
from repcon_jax.models import Network, parameter_count
from repcon_jax.run.experiment import Experiment
from repcon_jax.run.member_files import MemberFiles, read_result
from repcon_jax.run.members import Group, Member, points_of
from repcon_jax.run.prober import Interrupted, Prober
from repcon_jax.run.remembered import remember
from repcon_jax.training.loop import Callback, TrainData, rows_of, train
from repcon_jax.training.population import Population
from repcon_jax.training.step import TrainState
from repcon_jax.trees import all_finite, distance, signature
from repcon_jax.typing import Params, PyTree

Cell = tuple[int, int]


def cells_of(experiment: Experiment, group: Group) -> dict[Cell, Member]:
    """The members of a group by their place in the state's axes [seeds, points]; repetitions are left out."""
    points = points_of(experiment.config)
    cells: dict[Cell, Member] = {}
    for i, seed in enumerate(group.seeds):
        for j, point in enumerate(group.points):
            name = Member(seed, points[point])
            if name not in cells.values():
                cells[i, j] = name
    return cells


@dataclasses.dataclass
class GroupTraining:
    """Trains one group and writes what it sees.

    Args:
        experiment: the run's.
        program: compiled for the size of the group.
        group: which members.
        workdir: of the run.
        prober: shared by all groups of the run.
        on_steps: told the number of steps made and the latest metrics, for a progress bar; first, without metrics, the
            step that the group goes on from.
        should_stop: asked between chunks of steps.
        say: receives lines for the user.
    """

    experiment: Experiment
    program: Population
    group: Group
    workdir: pathlib.Path
    prober: Prober
    on_steps: Callable[[int, dict[str, float]], None]
    should_stop: Callable[[], Any]
    say: Callable[[str], None]

    def run(self) -> None:
        """Trains from the newest common checkpoint, or from the start, to the end; writes every member's result.

        Raises:
            Interrupted: ``should_stop`` said so; a checkpoint was written.
            DivergenceError: the run has a single member, and its loss or a parameter became NaN or infinite.
        """
        self._cells = cells_of(self.experiment, self.group)
        self._members = self.experiment.members(self.group)
        self._files = {}
        try:
            if is_main():
                self._files = {cell: MemberFiles(self.experiment, self.workdir, n) for cell, n in self._cells.items()}
            self._live, self._done = self._read_results()
            self._is_finite = self.program.over_members(all_finite, "params")
            self._measure = self.program.over_members(partial(_quantities, self.experiment.networks), "params", "state")
            state, step = self._begin()
            for files in self._live_files().values():
                files.truncate_log(step)
            for files in self._live_files().values():
                files.open_log(step)
            self.on_steps(step, {})
            data = self._remember(state, step)
            state, step = train(
                state,
                step,
                lambda state, count: self.program.chunk(data, state, count, self._members),
                self.experiment.clock,
                self._callbacks(),
                on_metrics=self._on_metrics,
                should_stop=self.should_stop,
                agree=self._agree,
            )
            if step < self.experiment.clock.total_steps and self._live:
                self._save(state, step)
                raise Interrupted
            self._finish(state, step)
        finally:
            for files in self._files.values():
                files.close()

    def _read_results(self) -> tuple[set[Cell], set[Cell]]:
        """Members that have not diverged, and those of which an earlier start wrote the result."""
        results = {cell: read_result(self.workdir, files.name) for cell, files in self._files.items()}
        done = [(cell, "diverged" in result) for cell, result in results.items() if result]
        diverged = {tuple(cell): is_diverged for cell, is_diverged in from_main(done)}
        return {cell for cell in self._cells if not diverged.get(cell)}, set(diverged)

    def _live_files(self) -> dict[Cell, MemberFiles]:
        return {cell: files for cell, files in self._files.items() if cell in self._live}

    def _agree(self, pace: int, stop: bool) -> tuple[int, bool]:
        return agree(pace, stop or not self._live)

    def _stop_agreed(self) -> bool:
        return agree(1, bool(self.should_stop()))[1]

    def _begin(self) -> tuple[TrainState, int]:
        saved = [set(files.saved_steps()) for files in self._live_files().values()]
        step = from_main(max(set.intersection(*saved), default=-1) if saved else -1)
        if step < 0:
            state = self.program.initial_state(self._members)
            self._start = _copy(state.params)
            return state, 0
        template = self.program.template
        self._start = self._gathered(self._start_of, template.params, self.program.join_params)
        return self._gathered(lambda cell: self._state_of(cell, template, step), template, self.program.join), step

    def _remember(self, state: TrainState, step: int) -> TrainData:
        def check_stop(examples: int) -> None:
            if self._stop_agreed():
                self._save(state, step)
                raise Interrupted

        return remember(self.program, state, self._members, self.workdir, check_stop, self.say)

    def _start_of(self, cell: Cell) -> Params:
        return self._files[cell].start_params()

    def _state_of(self, cell: Cell, template: TrainState, step: int) -> TrainState:
        if cell in self._live:
            return self._files[cell].restore(template, step)
        # A diverged member keeps its place in the program; what it computes is not looked at.
        state = self._files[cell].restore(template, 0)
        return dataclasses.replace(state, step=np.full_like(state.step, step))

    def _gathered(
        self, of_cell: Callable[[Cell], PyTree], template: PyTree, join: Callable[[list[list[PyTree]]], PyTree]
    ) -> Any:
        """The population's tree from those of its members, which host 0 reads."""
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), template)
        trees = {cell: tree_from_main(of_cell(cell) if is_main() else zeros) for cell in self._cells}
        rows, columns = range(len(self.group.seeds)), range(len(self.group.points))
        # A repeated member stands at the end of an axis, so the nearest before it is the same one.
        place = {(i, j): max(c for c in trees if c[0] <= i and c[1] <= j) for i in rows for j in columns}
        return join([[trees[place[i, j]] for j in columns] for i in rows])

    def _callbacks(self) -> list[Callback]:
        config, steps = self.experiment.config, self.experiment.steps
        callbacks = [
            Callback(steps(config.log_every, "log_every"), self._write_train),
            Callback(steps(config.probe.every, "probe.every"), self._write_probe),
            # Last, so that a checkpoint vouches for everything logged up to its step.
            Callback(steps(config.checkpoint.every, "checkpoint.every"), self._save, self.experiment.kept_steps()),
        ]
        probes = config.probe.during != "none" and self.experiment.probe_splits is not None
        return callbacks if probes else [callbacks[0], callbacks[2]]

    def _on_metrics(self, metrics: dict[str, np.ndarray], step: int) -> None:
        count = metrics["loss"].shape[-1]
        finite = np.isfinite(metrics["loss"])
        for cell in sorted(self._live):
            if not finite[cell].all():
                first = int(np.argmin(finite[cell]))
                self._drop(cell, f"the loss became {metrics['loss'][cell][first]}", step + first + 1)
        for cell, files in self._live_files().items():
            files.add(rows_of({name: values[cell] for name, values in metrics.items()}))
        if self._live:
            cells = tuple(np.array(sorted(self._live)).T)
            self.on_steps(count, {name: float(values[cells][:, -1].mean()) for name, values in metrics.items()})

    def _drop(self, cell: Cell, what: str, step: int) -> None:
        """Takes a diverged member out; a run of a single one ends."""
        fix = "lower optimiser.learning_rate or set optimiser.clip_norm"
        if self.experiment.size == 1:
            raise DivergenceError(
                f"{what} at step {step}; training stopped and the last good checkpoint is kept: {fix}."
            )
        name = self._cells[cell]
        self.say(f"{name}: {what} at step {step}; it is left out, the others go on ({fix}).")
        self._live.discard(cell)
        if cell in self._files:
            empty = {group: {} for group in ("probe", "train", "test", "distance")}
            self._files[cell].write_result({**name.labels, "steps": step, "diverged": step, **empty})

    def _epoch(self, step: int) -> float:
        return step / self.experiment.clock.steps_per_epoch

    def _write_train(self, state: TrainState, step: int) -> None:
        quantities = self._measured(state)
        for cell, files in self._live_files().items():
            files.write_train(step, self._epoch(step), {name: float(v[cell]) for name, v in quantities.items()})

    def _write_probe(self, state: TrainState, step: int) -> None:
        for cell in sorted(self._live):
            scores = self.prober.during(self._cells[cell].seed, self.program.member(state, *cell))
            if scores and cell in self._files:
                self._files[cell].write("probe", step, self._epoch(step), scores)

    def _save(self, state: TrainState, step: int) -> None:
        finite = np.asarray(self._is_finite(state.params))
        for cell in sorted(self._live):
            if not finite[cell]:
                self._drop(cell, "a parameter became NaN or infinite", step)
        for cell in sorted(self._live):
            member = self.program.member(state, *cell)
            if cell in self._files:
                self._files[cell].save(step, member)
        for files in self._live_files().values():
            files.tidy()

    def _finish(self, state: TrainState, step: int) -> None:
        quantities = self._measured(state)
        for cell in sorted(self._live - self._done):
            name, member = self._cells[cell], self.program.member(state, *cell)
            result = {
                **name.labels,
                "steps": step,
                "probe": self.prober.final(name.seed, member, self._stop_agreed),
                "train": self._train_means(cell),
                "test": self.experiment.evaluate(self.group, cell[1], member),
                "distance": {key: float(values[cell]) for key, values in quantities.items() if key != "density"},
            }
            if cell in self._files:
                self._files[cell].write_result(result)

    def _train_means(self, cell: Cell) -> dict[str, float]:
        rows = self._files[cell].last_epoch if cell in self._files else []
        return {name: sum(row[name] for row in rows) / len(rows) for name in (rows or [{}])[0]}

    def _measured(self, state: TrainState) -> dict[str, np.ndarray]:
        quantities = {name: np.asarray(values) for name, values in self._measure(self._start, state).items()}
        # Divided here because in float32 all of all would be a little less than 1.
        quantities["density"] = quantities.pop("kept") / parameter_count(self.program.template.params)
        return quantities


def _quantities(
    networks: Callable[[TrainState], dict[str, Network]], start: Params, state: TrainState
) -> dict[str, jax.Array]:
    """Distances in weights, and how many parameters the mask keeps."""
    distances = {f"{part}_distance_from_start": distance(start[part], state.params[part]) for part in start}
    teacher, encoder = networks(state).get("teacher"), state.params["encoder"]
    if teacher is not None and signature(teacher.params["encoder"]) == signature(encoder):
        distances["encoder_distance_from_teacher"] = distance(teacher.params["encoder"], encoder)
    return {**distances, "kept": sum(mask.sum() for mask in jax.tree.leaves(state.mask))}


@jax.jit
def _copy(params: Params) -> Params:
    return jax.tree.map(lambda leaf: leaf.copy(), params)
