"""When and on what the representations of a run are probed; what does not change is probed once."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from repcon_jax.data import Dataset
from repcon_jax.models import Network
from repcon_jax.probing import extract_features, pixel_features, run_probes
from repcon_jax.random import stream
from repcon_jax.run.experiment import Experiment
from repcon_jax.run.networks import pixels_of
from repcon_jax.training.checkpoints import tree_digest
from repcon_jax.training.step import TrainState

Scores = dict[str, dict[str, dict[str, Any]]]


class Interrupted(Exception):
    """The run was asked to stop before its end; it goes on from its newest checkpoint."""


class Prober:
    """Probes the raw input and the encoders of members; members of one seed share what is the same for them.

    Args:
        experiment: the run's.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Nothing is computed yet."""
        self._experiment = experiment
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}
        splits = experiment.probe_splits
        self._pixels = None if splits is None else pixels_of(splits)

    def during(self, seed: int, state: TrainState) -> dict[str, float]:
        """Values such as ``student/linear`` on the part that the config names for periodic probes.

        Args:
            seed: of the member; the probes have a stream of their own.
            state: of the member.
        """
        config, splits = self._experiment.config.probe, self._experiment.probe_splits
        if splits is None or config.during == "none":
            return {}
        if config.during == "test":
            scores = self._scores(seed, state, "test", splits.train, splits.test)
        else:
            scores = self._scores(seed, state, "validation", splits.fit, splits.validation)
        return {f"{name}/{probe}": s["value"] for name, probes in scores.items() for probe, s in probes.items()}

    def final(self, seed: int, state: TrainState, should_stop: Callable[[], Any]) -> Scores:
        """Scores on the test set of probes fitted on the whole training set.

        Args:
            seed: of the member.
            state: the last one, which is saved already, so that the probes can be left and begun again.
            should_stop: asked before every encoder, since probing a large data set can take minutes.
        Raises:
            Interrupted: ``should_stop`` said so.
        """
        splits = self._experiment.probe_splits
        return {} if splits is None else self._scores(seed, state, "test", splits.train, splits.test, should_stop)

    def _scores(
        self,
        seed: int,
        state: TrainState,
        part: str,
        fit: Dataset,
        test: Dataset,
        should_stop: Callable[[], Any] = lambda: False,
    ) -> Scores:
        networks: dict[str, Network | None] = {"input": None}
        networks |= self._experiment.networks(state)
        scores = {}
        for name, network in networks.items():
            encoder = None if network is None else self._encoder(network)
            if encoder is not None and should_stop():
                raise Interrupted
            if name in self._experiment.objective.changing:
                scores[name] = self._probe(seed, encoder, fit, test)
                continue
            known = (seed, part, None if encoder is None else tree_digest((encoder.params, encoder.model_state)))
            if known not in self._known:
                self._known[known] = self._probe(seed, encoder, fit, test)
            scores[name] = self._known[known]
        return scores

    def _probe(self, seed: int, encoder: Network | None, fit: Dataset, test: Dataset) -> dict[str, Any]:
        config = self._experiment.config.probe
        features = [self._features(encoder, split.images) for split in (fit, test)]
        return run_probes(
            config.probes,
            features[0],
            fit.labels,
            features[1],
            test.labels,
            fit.num_classes,
            stream(jax.random.key(seed), "probe"),
            config.train_size,
        )

    def _encoder(self, network: Network) -> Network:
        """The encoder of a network; where it was trained on this run's data, other data has statistics of its own."""
        own, pixels = self._experiment.context.pixels, network.pixels
        if self._experiment.config.probe.data is None or (pixels.mean, pixels.std) != (own.mean, own.std):
            return network.encoder
        return network.encoder.replace(pixels=dataclasses.replace(self._pixels, size=pixels.size))

    def _features(self, encoder: Network | None, images: Any) -> jax.Array:
        if encoder is None:
            return pixel_features(images, self._pixels)
        return extract_features(encoder, images, mesh=self._experiment.recipe.data.mesh)
