"""One member (seed) of a run: trained, logged, probed, saved, and resumed where it was."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from repcon_jax.data import Dataset
from repcon_jax.errors import CheckpointError, DivergenceError
from repcon_jax.metrics_log import MetricsLog, truncate_metrics
from repcon_jax.probing import extract_features, pixel_features, run_probes
from repcon_jax.problem import Problem
from repcon_jax.random import stream
from repcon_jax.training.checkpoints import Checkpoints
from repcon_jax.training.evaluation import evaluate_dataset
from repcon_jax.training.loop import Callback, train
from repcon_jax.training.step import TrainState
from repcon_jax.trees import all_finite, distance
from repcon_jax.typing import MetricRows, Params

Scores = dict[str, dict[str, dict[str, Any]]]


class Interrupted(Exception):
    """The member was asked to stop before its end; it goes on from its newest checkpoint."""


def open_checkpoints(problem: Problem, workdir: pathlib.Path, seed: int) -> Checkpoints:
    """The checkpoints of one member, kept by the config's rule."""
    rule = problem.config.checkpoint
    return Checkpoints(
        workdir / "checkpoints" / f"seed_{seed}",
        keep_last=rule.keep_last,
        keep_steps=_kept_steps(problem),
        keep_every=problem.steps(rule.keep_every, "checkpoint.keep_every"),
    )


def _kept_steps(problem: Problem) -> tuple[int, ...]:
    return tuple(problem.clock.steps(duration, "checkpoint.keep") for duration in problem.config.checkpoint.keep)


class Prober:
    """Probes the raw input and the encoders of one member; what does not change is probed once.

    Args:
        problem: the run's.
        seed: of the member; the probes have a stream of their own.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        """Nothing is computed yet."""
        self._problem = problem
        self._key = stream(jax.random.key(seed), "probe")
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def during(self, state: TrainState) -> dict[str, float]:
        """Accuracies such as ``student/linear`` on the part that the config names for periodic probes."""
        config, splits = self._problem.config.probe, self._problem.probe_splits
        if splits is None or config.during == "none":
            return {}
        if config.during == "test":
            scores = self._scores(state, "test", splits.train, splits.test)
        else:
            scores = self._scores(state, "validation", splits.fit, splits.validation)
        return {f"{name}/{probe}": s["accuracy"] for name, probes in scores.items() for probe, s in probes.items()}

    def final(self, state: TrainState, should_stop: Callable[[], Any]) -> Scores:
        """Scores on the test set of probes fitted on the whole training set.

        Args:
            state: the last one, which is saved already, so that the probes can be left and begun again.
            should_stop: asked before every encoder, since probing a large data set can take minutes.
        Raises:
            Interrupted: ``should_stop`` said so.
        """
        splits = self._problem.probe_splits
        return {} if splits is None else self._scores(state, "test", splits.train, splits.test, should_stop)

    def _scores(
        self,
        state: TrainState,
        part: str,
        fit: Dataset,
        test: Dataset,
        should_stop: Callable[[], Any] = lambda: False,
    ) -> Scores:
        objective = self._problem.objective
        encoders = objective.encoders(state.params, state.carried, state.model_state)
        scores = {"input": self._once("input", part, lambda: self._probe(None, fit, test))}
        for name, encoder in encoders.items():
            if should_stop():
                raise Interrupted
            compute = lambda encoder=encoder: self._probe(encoder, fit, test)  # noqa: E731
            scores[name] = compute() if name in objective.changing else self._once(name, part, compute)
        return scores

    def _once(self, name: str, part: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if (name, part) not in self._known:
            self._known[name, part] = compute()
        return self._known[name, part]

    def _probe(self, encoder: tuple[Params, Params] | None, fit: Dataset, test: Dataset) -> dict[str, Any]:
        config, splits = self._problem.config.probe, self._problem.probe_splits
        features = [self._features(encoder, split.images, splits.mean, splits.std) for split in (fit, test)]
        return run_probes(
            config.probes,
            features[0],
            fit.labels,
            features[1],
            test.labels,
            fit.num_classes,
            self._key,
            config.train_size,
        )

    def _features(self, encoder: tuple[Params, Params] | None, images: Any, mean: Any, std: Any) -> jax.Array:
        if encoder is None:
            return pixel_features(images, mean, std)
        return extract_features(self._problem.encoder.apply, *encoder, images, mean, std)


@jax.jit
def _distances(start: Params, state: TrainState, teacher: Params | None) -> dict[str, jax.Array]:
    found = {f"{part}_distance_from_start": distance(start[part], state.params[part]) for part in start}
    if teacher is not None:
        found["encoder_distance_from_teacher"] = distance(teacher, state.params["encoder"])
    return found


@dataclasses.dataclass
class Member:
    """Trains one member and writes what it sees.

    Args:
        problem: the run's.
        workdir: of the run.
        seed: of this member.
        on_steps: told the number of steps made and the latest metrics, for a progress bar; first, without metrics, the
            step that the member goes on from.
        should_stop: asked between chunks of steps.
    """

    problem: Problem
    workdir: pathlib.Path
    seed: int
    on_steps: Callable[[int, dict[str, float]], None]
    should_stop: Callable[[], Any]

    def run(self) -> dict[str, Any]:
        """Trains from the newest checkpoint, or from the start, to the end.

        Returns:
            Final numbers: probe scores, the objective's metrics over the last epoch, and on the test set.
        Raises:
            Interrupted: ``should_stop`` said so; a checkpoint was written.
            DivergenceError: the loss or a parameter became NaN or infinite.
        """
        problem = self.problem
        key = jax.random.key(self.seed)
        self._checkpoints = open_checkpoints(problem, self.workdir, self.seed)
        state, pending, last_epoch = self._begin(key)
        begun = bool(self._checkpoints.steps())
        # At step 0 the callbacks are called again, so what they logged goes too.
        truncate_metrics(self.workdir, self.seed, int(state.step) or -1)
        self._log = MetricsLog(self.workdir, self.seed, int(state.step) if begun else None)
        self._log.pending.extend(pending)
        self._last_epoch: MetricRows = last_epoch
        self._prober = Prober(problem, self.seed)
        self._start = self._start_params(state)
        self.on_steps(int(state.step), {})
        try:
            state = train(
                state,
                problem.chunk,
                key,
                problem.clock,
                self._callbacks(),
                on_metrics=self._on_metrics,
                should_stop=self.should_stop,
            )
            if int(state.step) < problem.clock.total_steps:
                self._save(state)
                raise Interrupted
            return self._final(state)
        finally:
            self._log.close()
            self._checkpoints.close()

    def _begin(self, key: jax.Array) -> tuple[TrainState, MetricRows, MetricRows]:
        if not self._checkpoints.steps():
            return self.problem.initial_state(key), [], []
        template = jax.eval_shape(self.problem.initial_state, key)
        state, extra = self._checkpoints.restore(template)
        return jax.tree.map(jnp.asarray, state), extra["pending"], extra["last_epoch"]

    def _start_params(self, state: TrainState) -> Params:
        if int(state.step) == 0:
            return jax.tree.map(jnp.copy, state.params)
        if 0 not in self._checkpoints.steps():
            raise CheckpointError(
                f"{self._checkpoints.directory} has no step 0, from which distances are measured; put it back or "
                "start in a new work directory."
            )
        return jax.tree.map(jnp.asarray, self._checkpoints.restore_parts(0, ("params",))["params"])

    def _callbacks(self) -> list[Callback]:
        config, steps = self.problem.config, self.problem.steps
        callbacks = [
            Callback(steps(config.log_every, "log_every"), self._write_train),
            Callback(steps(config.probe.every, "probe.every"), self._write_probe),
            # Last, so that a checkpoint vouches for everything logged up to its step.
            Callback(steps(config.checkpoint.every, "checkpoint.every"), self._save, _kept_steps(self.problem)),
        ]
        return callbacks if self.problem.config.probe.during != "none" else [callbacks[0], callbacks[2]]

    def _on_metrics(self, rows: MetricRows) -> None:
        self._log.gather(rows)
        self._last_epoch = [*self._last_epoch, *rows][-self.problem.clock.steps_per_epoch :]
        self.on_steps(len(rows), rows[-1])

    def _epoch(self, state: TrainState) -> float:
        return int(state.step) / self.problem.clock.steps_per_epoch

    def _write_train(self, state: TrainState) -> None:
        self._log.write_train(int(state.step), self._epoch(state), self._distances(state))

    def _write_probe(self, state: TrainState) -> None:
        scores = self._prober.during(state)
        if scores:
            self._log.write("probe", int(state.step), self._epoch(state), scores)

    def _save(self, state: TrainState) -> None:
        if not bool(all_finite(state.params)):
            raise DivergenceError(
                f"a parameter became NaN or infinite by step {int(state.step)}; training stopped and the last good "
                "checkpoint is kept: lower optimiser.learning_rate or set optimiser.clip_norm."
            )
        extra = {"pending": self._log.pending, "last_epoch": self._last_epoch, "seed": self.seed}
        self._checkpoints.save(int(state.step), state, extra)

    def _final(self, state: TrainState) -> dict[str, Any]:
        names = self._last_epoch[0]
        train_means = {name: sum(row[name] for row in self._last_epoch) / len(self._last_epoch) for name in names}
        return {
            "seed": self.seed,
            "steps": int(state.step),
            "probe": self._prober.final(state, self.should_stop),
            "train": train_means,
            "test": self._evaluate(state),
            "distance": self._distances(state),
        }

    def _distances(self, state: TrainState) -> dict[str, float]:
        encoders = self.problem.objective.encoders(state.params, state.carried, state.model_state)
        found = _distances(self._start, state, encoders.get("teacher", (None,))[0])
        return {name: float(value) for name, value in found.items()}

    def _evaluate(self, state: TrainState) -> dict[str, float]:
        test, data = self.problem.test, self.problem.data
        if test is None:
            return {}
        labels = jnp.zeros(len(test), jnp.int32) if test.labels is None else jnp.asarray(test.labels)
        values = evaluate_dataset(
            self.problem.objective.evaluate,
            state.params,
            state.carried,
            state.model_state,
            jnp.asarray(test.images),
            labels,
            data.mean,
            data.std,
        )
        return {name: float(value) for name, value in values.items()}
