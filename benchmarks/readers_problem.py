"""The problem that all competitors of ``readers.py`` solve: features like a network's, one split, exact objectives."""

from typing import NamedTuple

import numpy as np

CLASSES = 10
GRID = tuple(10.0**exponent for exponent in range(-7, 3))
SVM_C = 1e-3
NEIGHBOURS = 20


class Problem(NamedTuple):
    """Standardised features, labels, and which training examples are held out."""

    train: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    is_held_out: np.ndarray


def draw(train: int, test: int, features: int) -> Problem:
    """A mixture of ten Gaussians with correlated features, whose variances fall as 1 / rank; a fifth is held out."""
    rng = np.random.default_rng(0)
    scales = np.arange(1, features + 1) ** -0.5
    rotation = np.linalg.qr(rng.standard_normal((features, features)))[0]
    centres = 0.1 * rng.standard_normal((CLASSES, features))

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % CLASSES
        return ((centres[labels] + rng.standard_normal((count, features))) * scales) @ rotation, labels

    (seen, labels), (unseen, test_labels) = part(train), part(test)
    # One label in ten is wrong, so that the best penalty lies within the grid.
    wrong = rng.random(train) < 0.1
    labels = np.where(wrong, rng.integers(0, CLASSES, train), labels)
    mean, deviation = seen.mean(0), seen.std(0, ddof=1)
    standardised = [((x - mean) / deviation).astype(np.float32) for x in (seen, unseen)]
    return Problem(standardised[0], labels, standardised[1], test_labels, rng.permutation(train) < train // 5)


def logistic_objective(kernel: np.ndarray, bias: np.ndarray, problem: Problem, chosen: np.ndarray, C: float) -> float:
    """C sum_n loss_n + ||kernel||^2 / 2 over the chosen examples, in float64."""
    logits, labels = _logits(kernel, bias, problem, chosen)
    logits -= logits.max(1, keepdims=True)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
    return float(C * losses.sum() + 0.5 * np.sum(np.asarray(kernel, np.float64) ** 2))


def squared_hinge_objective(kernel: np.ndarray, bias: np.ndarray, problem: Problem, C: float) -> dict[str, float]:
    """C sum_n sum_k max(0, 1 - y_k f_k)^2 + ||kernel||^2 / 2, and the same with the bias penalised, in float64."""
    logits, labels = _logits(kernel, bias, problem, np.ones(len(problem.labels), bool))
    hinges = np.maximum(0, 1 - (2.0 * np.eye(CLASSES)[labels] - 1.0) * logits)
    free = float(C * np.sum(hinges**2) + 0.5 * np.sum(np.asarray(kernel, np.float64) ** 2))
    penalised = free + 0.5 * float(np.sum(np.asarray(bias, np.float64) ** 2))
    return {"objective": free, "objective_with_penalised_bias": penalised}


def _logits(
    kernel: np.ndarray, bias: np.ndarray, problem: Problem, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    logits = problem.train[chosen].astype(np.float64) @ np.asarray(kernel, np.float64) + np.asarray(bias, np.float64)
    return logits, problem.labels[chosen]
