"""scikit-learn's readers on the problem of ``readers_problem.py``, with all cores where they can use them."""

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from benchmarks.readers_problem import GRID, NEIGHBOURS, SVM_C, draw, logistic_objective, squared_hinge_objective


class Neighbours:
    """The vote of 20 neighbours, by brute force, which is the fastest method at this many features."""

    def __init__(self, train: int, test: int, features: int) -> None:
        """Draws the problem."""
        self.problem = draw(train, test, features)

    def steps(self, n: int) -> None:
        """Fits and predicts ``n`` times."""
        for _ in range(n):
            reader = KNeighborsClassifier(NEIGHBOURS, algorithm="brute", n_jobs=-1)
            self.predictions = reader.fit(self.problem.train, self.problem.labels).predict(self.problem.test)

    def about_at_the_end(self) -> dict[str, Any]:
        """The accuracy."""
        return {"accuracy": float(np.mean(self.predictions == self.problem.test_labels))}


class LogisticRegression:
    """L-BFGS along the grid, each fit starting from the last, C by the held-out part, then a fit to all."""

    def __init__(self, train: int, test: int, features: int, tolerance: float) -> None:
        """Draws the problem."""
        self.problem, self.tolerance = draw(train, test, features), tolerance

    def steps(self, n: int) -> None:
        """Tunes and fits ``n`` times."""
        problem, seen = self.problem, ~self.problem.is_held_out
        for _ in range(n):
            reader = SklearnLogisticRegression(tol=self.tolerance, max_iter=1000, warm_start=True)
            self.path: dict[float, tuple[Any, ...]] = {}
            accuracies = {}
            fit_part, held_part = (problem.train[part] for part in (seen, ~seen))
            for C in GRID:
                reader.set_params(C=C).fit(fit_part, problem.labels[seen])
                self.path[C] = reader.coef_.T.copy(), reader.intercept_.copy(), int(reader.n_iter_[0])
                accuracies[C] = reader.score(held_part, problem.labels[~seen])
            self.C = max(GRID, key=accuracies.get)
            reader.coef_, reader.intercept_ = self.path[self.C][0].T.copy(), self.path[self.C][1].copy()
            self.final = reader.set_params(C=self.C).fit(problem.train, problem.labels)

    def about_at_the_end(self) -> dict[str, Any]:
        """The objective of every fit of the path and of the last one, and what was chosen."""
        problem, seen = self.problem, ~self.problem.is_held_out
        last = self.final.coef_.T, self.final.intercept_
        return {
            "objectives": {
                f"{C:g}": logistic_objective(kernel, bias, problem, seen, C)
                for C, (kernel, bias, _) in self.path.items()
            },
            "iterations": {f"{C:g}": iterations for C, (_, _, iterations) in self.path.items()},
            "C": self.C,
            "objective": logistic_objective(*last, problem, np.ones_like(seen), self.C),
            "accuracy": float(self.final.score(problem.test, problem.test_labels)),
        }


class SupportVectors:
    """LinearSVC in the primal, as scikit-learn advises for more examples than features; it has one thread."""

    def __init__(self, train: int, test: int, features: int, tolerance: float) -> None:
        """Draws the problem."""
        self.problem, self.tolerance = draw(train, test, features), tolerance

    def steps(self, n: int) -> None:
        """Fits ``n`` times."""
        for _ in range(n):
            reader = LinearSVC(C=SVM_C, dual=False, tol=self.tolerance, max_iter=1000)
            self.fit = reader.fit(self.problem.train, self.problem.labels)

    def about_at_the_end(self) -> dict[str, Any]:
        """The objective and the accuracy."""
        accuracy = float(self.fit.score(self.problem.test, self.problem.test_labels))
        objectives = squared_hinge_objective(self.fit.coef_.T, self.fit.intercept_, self.problem, SVM_C)
        return objectives | {"iterations": int(np.max(self.fit.n_iter_)), "accuracy": accuracy}
