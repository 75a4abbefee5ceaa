"""scikit-learn's k-nearest neighbours on the same random features."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier


class Neighbours:
    """The vote of 20 neighbours, by brute force, which is the fastest method at this many features."""

    def __init__(self, train: int, test: int, features: int) -> None:
        """Draws features and labels."""
        rng = np.random.default_rng(0)
        self.train = rng.standard_normal((train, features), np.float32), rng.integers(0, 10, train)
        self.test = rng.standard_normal((test, features), np.float32)

    def steps(self, n: int) -> None:
        """Fits and predicts ``n`` times."""
        for _ in range(n):
            KNeighborsClassifier(20, algorithm="brute", n_jobs=-1).fit(*self.train).predict(self.test)
