"""What can be measured at a point of parameter space, and the registry that finds ``landscape/metrics/``."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Array, Float, Int

from repcon_jax.models import Outputs
from repcon_jax.options.registry import Registry
from repcon_jax.options.schema import parse_call
from repcon_jax.probing import PROBES, Probe
from repcon_jax.records.scores import Score
from repcon_jax.typing import Params

METRICS = Registry("metric", "repcon_jax.landscape.metrics")
Need = Literal["reference", "labels"]


@dataclass(frozen=True)
class ExampleMetric:
    """A number for every example, whose mean over a data set counts.

    Args:
        values: outputs of the reference network or None, outputs at the point, labels [batch] or None -> [batch].
        score: what the mean means.
        needs: whether it reads the reference or the labels.
        smooth: whether it has derivatives, and so a curvature.
    """

    values: Callable[[Outputs | None, Outputs, Int[Array, " batch"] | None], Float[Array, " batch"]]
    score: Score
    needs: frozenset[Need] = frozenset()
    smooth: bool = True


@dataclass(frozen=True)
class ParameterMetric:
    """A number of the parameters alone.

    Args:
        value: params -> float32 of shape ().
        score: what it means.
        needs: nothing.
    """

    value: Callable[[Params], Float[Array, ""]]
    score: Score
    needs: frozenset[Need] = frozenset()


@dataclass(frozen=True)
class ProbeMetric:
    """The value of a probe that is fitted on the embeddings of the training images and scored on the test images.

    Args:
        probe: fits and scores.
        score: what its number means.
        needs: labels.
    """

    probe: Probe
    score: Score
    needs: frozenset[Need] = frozenset({"labels"})


Metric = ExampleMetric | ParameterMetric | ProbeMetric


def build_metric(text: str) -> Metric:
    """The metric of a text such as ``"kl_divergence"``, ``"norm(part='head')"`` or ``"knn(neighbours=5)"``.

    Args:
        text: name of a metric or a probe, with options where they differ from the defaults.
    Raises:
        ConfigError: neither a metric nor a probe has that name, or an option does not fit.
    """
    name, _ = parse_call(text, "metrics")
    if name not in PROBES.names():
        return METRICS.parse(text, "metrics")
    probe = PROBES.parse(text, "metrics")
    return ProbeMetric(probe, dataclasses.replace(probe.score, label=f"{name} {probe.score.label}"))


def scores_of(texts: Iterable[str], measured_on: Iterable[str]) -> dict[str, Score]:
    """What the numbers of some metrics mean, by the names that these have in results.

    Args:
        texts: as for ``build_metric``.
        measured_on: parts of the data on which example metrics are measured.

    >>> scores = scores_of(("error", "norm(part='head')"), ("train", "test"))
    >>> {name: score.label for name, score in scores.items()}
    {'train/error': 'train error', 'test/error': 'test error', "norm(part='head')": "norm, part='head'"}
    """
    scores = {}
    for text in texts:
        metric = build_metric(text)
        _, _, options = text.strip().removesuffix(")").partition("(")
        label = f"{metric.score.label}, {options}" if options else metric.score.label
        labels = {text: label}
        if isinstance(metric, ExampleMetric):
            labels = {f"{part}/{text}": f"{part} {label}" for part in measured_on}
        scores |= {name: dataclasses.replace(metric.score, label=label) for name, label in labels.items()}
    return scores
