"""Our readers on the problem of ``readers_problem.py``."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.readers_problem import (
    CLASSES,
    GRID,
    NEIGHBOURS,
    SVM_C,
    draw,
    logistic_objective,
    squared_hinge_objective,
)
from repcon_jax.losses import softmax_cross_entropies_with_labels
from repcon_jax.probing.linear_classifier import linear_logits
from repcon_jax.probing.logistic_regression import fit_logistic_regression
from repcon_jax.probing.minimisation import Fit, second_moment
from repcon_jax.probing.neighbours import predict_by_neighbours
from repcon_jax.probing.penalty import Held, choose_penalty, held_out_quality
from repcon_jax.probing.support_vectors import fit_support_vector_machine
from repcon_jax.typing import Params


class _Reader:
    """The problem on the device."""

    def __init__(self, train: int, test: int, features: int) -> None:
        self.problem = draw(train, test, features)
        self.train, self.labels = jnp.asarray(self.problem.train), jnp.asarray(self.problem.labels, jnp.int32)
        self.test = jnp.asarray(self.problem.test)
        self.start = {"kernel": jnp.zeros((features, CLASSES)), "bias": jnp.zeros(CLASSES)}

    def _accuracy(self, classifier: Params) -> float:
        logits = np.asarray(linear_logits(classifier, self.test))
        return float(np.mean(logits.argmax(1) == self.problem.test_labels))


class Neighbours(_Reader):
    """The vote of 20 neighbours."""

    def steps(self, n: int) -> None:
        """Predicts the test set ``n`` times."""
        for _ in range(n):
            found = predict_by_neighbours(self.train, self.labels, self.test, (NEIGHBOURS,), CLASSES)
            self.predictions = np.asarray(found[0])

    def about_at_the_end(self) -> dict[str, Any]:
        """The accuracy."""
        return {"accuracy": float(np.mean(self.predictions == self.problem.test_labels))}


class LogisticRegression(_Reader):
    """C by the held-out part, of every value of the grid, then a fit to all."""

    def __init__(self, train: int, test: int, features: int, tolerance: float) -> None:
        """Draws the problem."""
        super().__init__(train, test, features)
        self.tolerance = tolerance

    def steps(self, n: int) -> None:
        """Tunes and fits ``n`` times."""
        for _ in range(n):
            self.path: dict[float, Fit] = {}
            self.moment = second_moment(self.train)
            is_held_out = jnp.asarray(self.problem.is_held_out)
            self.choice = choose_penalty(self._held, self.start, GRID, patience=len(GRID))
            self.final = self._fit(self.choice.held.classifier, jnp.ones(is_held_out.shape[0]), self.choice.C)
            jax.block_until_ready(self.final)

    def _fit(self, start: Params, weights: jax.Array, C: float) -> Fit:
        options = {"max_iterations": 1000, "tolerance": self.tolerance}
        return fit_logistic_regression(start, self.train, self.labels, weights, C, self.moment, **options)

    def _held(self, start: Params, C: float) -> Held:
        is_held_out = jnp.asarray(self.problem.is_held_out)
        fit = self.path[C] = self._fit(start, 1.0 - is_held_out, C)
        logits = linear_logits(fit.classifier, self.train)
        losses = softmax_cross_entropies_with_labels(logits, self.labels)
        right, loss = held_out_quality(logits, losses, self.labels, is_held_out)
        return Held(fit.classifier, float(right), float(loss), int(fit.iterations))

    def about_at_the_end(self) -> dict[str, Any]:
        """The objective of every fit of the path and of the last one, and what was chosen."""
        seen = ~self.problem.is_held_out
        everything = np.ones_like(seen)

        def objective(fit: Fit, chosen: np.ndarray, C: float) -> float:
            return logistic_objective(*_arrays(fit.classifier), self.problem, chosen, C)

        return {
            "objectives": {f"{C:g}": objective(fit, seen, C) for C, fit in self.path.items()},
            "iterations": {f"{C:g}": int(fit.iterations) for C, fit in self.path.items()},
            "converged": all(bool(fit.converged) for fit in (*self.path.values(), self.final)),
            "C": self.choice.C,
            "objective": objective(self.final, everything, self.choice.C),
            "accuracy": self._accuracy(self.final.classifier),
        }


class SupportVectors(_Reader):
    """A machine for each class with the squared hinge, at one C."""

    def __init__(self, train: int, test: int, features: int, tolerance: float) -> None:
        """Draws the problem."""
        super().__init__(train, test, features)
        self.tolerance = tolerance

    def steps(self, n: int) -> None:
        """Fits ``n`` times."""
        for _ in range(n):
            problem = self.start, self.train, self.labels, jnp.ones(self.train.shape[0]), SVM_C
            options = {"max_iterations": 1000, "tolerance": self.tolerance}
            self.fit = jax.block_until_ready(fit_support_vector_machine(*problem, second_moment(self.train), **options))

    def about_at_the_end(self) -> dict[str, Any]:
        """The objective and the accuracy."""
        objectives = squared_hinge_objective(*_arrays(self.fit.classifier), self.problem, SVM_C)
        about = {"iterations": int(self.fit.iterations), "converged": bool(self.fit.converged)}
        return objectives | about | {"accuracy": self._accuracy(self.fit.classifier)}


def _arrays(classifier: Params) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(classifier["kernel"]), np.asarray(classifier["bias"])
